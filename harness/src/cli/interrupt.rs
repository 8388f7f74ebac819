//! Requests to end: Ctrl-C, and what `kill` sends.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the first request to end. A second one then ends the process at once, and the kernel ends its children.
pub(super) async fn requested() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    let [mut interrupt, mut terminate, mut hangup] = match <[_; 3]>::try_from(signals) {
        Ok(signals) => signals,
        // Without handlers a signal ends the process by itself.
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    crate::process::die_at_next_signal();
}
