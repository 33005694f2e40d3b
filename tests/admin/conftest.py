"""Members of staff for the tests of every app's pages."""

from tests.admin.core.conftest import MakeStaff, make_staff, staff

__all__ = ["MakeStaff", "make_staff", "staff"]
