"""What the server of the tests does beside the project: a strict policy, and the icon."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

WANTED = "X-Strict-Policy"
"""The request's header that names the policy's: ENFORCED or REPORTED."""
ENFORCED = "Content-Security-Policy"
REPORTED = "Content-Security-Policy-Report-Only"
POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
"""As strict sites have it: nothing inline, nothing from elsewhere."""


def strict_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: such a policy for the browsers that ask for it, and an icon for all."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path == "/favicon.ico":
            return HttpResponse(status=204)
        response = get_response(request)
        if name := request.headers.get(WANTED):
            response[name] = POLICY
        return response

    return middleware
