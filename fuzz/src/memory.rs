//! How much memory a call takes.

use peak_alloc::PeakAlloc;

#[global_allocator]
static COUNTER: PeakAlloc = PeakAlloc;

/// What error messages, small vectors and the test runner's own threads may take in any case.
const SLACK: usize = 256 << 10;

/// Runs `call`, which at no time may hold more than `allowed` bytes more than before; `allowed` is told the result.
pub(crate) fn bounded<T>(call: impl FnOnce() -> T, allowed: impl FnOnce(&T) -> usize) -> T {
    COUNTER.reset_peak_usage();
    let before = COUNTER.current_usage();
    let result = call();
    let taken = COUNTER.peak_usage().saturating_sub(before);
    let allowed = allowed(&result).saturating_add(SLACK);
    assert!(
        taken <= allowed,
        "{taken} bytes of memory were taken, {allowed} are allowed"
    );
    result
}
