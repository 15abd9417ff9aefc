"""What the tests of transcripts read from a page."""

import re


def statuses(html):
    """What the head of a transcript counts."""
    return re.findall(r'parlant-status-\w+">(\d+ \w+)</span>', html)
