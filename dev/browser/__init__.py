"""A real browser, driven over its DevTools protocol: for the tests of the status page.

The browser is the machine's own (Debian: `apt-get install chromium`); what looks for barriers in a
page (axe-core) is installed with npm.
"""

from dev.browser.chromium import Browser, NoBrowserError, Tab, open_browser
from dev.browser.install import axe_core, shipped_uplot

__all__ = ["Browser", "NoBrowserError", "Tab", "axe_core", "open_browser", "shipped_uplot"]
