# SPDX-License-Identifier: Apache-2.0
"""What a user can understand and act on; everything else is a bug and keeps its traceback."""


class LabError(Exception):
    """One clear line; `status` becomes the exit status (2: nothing was started)."""

    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status
