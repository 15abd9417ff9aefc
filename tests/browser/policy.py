"""A policy as strict sites have it: nothing inline, nothing from elsewhere."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

WANTED = "X-Strict-Policy"
POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def strict_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: such a policy for the browsers that ask for it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if WANTED in request.headers:
            response["Content-Security-Policy"] = POLICY
        return response

    return middleware
