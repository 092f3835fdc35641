//! Source-to-target offsets as runs, translation of committed offsets, reset plans, reports. No I/O.
