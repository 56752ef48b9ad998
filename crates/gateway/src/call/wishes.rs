//! What a call asks of the gateway itself, in headers of its own.

use std::time::Duration;

use http::HeaderMap;

use crate::{headers, refusal::Refusal, settings::Settings};

/// What a call asks of the gateway itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Seconds it would wait for its admission.
    pub(super) wait_s: u64,
    /// Whether the backup may run; `None`: as the model has it.
    pub(super) fallback: Option<bool>,
}

impl Wishes {
    /// How long the call may wait here.
    pub(super) fn patience(&self, settings: &Settings) -> Duration {
        Duration::from_secs(self.wait_s).min(settings.max_wait)
    }

    /// Whole seconds of it that are left after `waited_us`, for a provider that has a queue of its own.
    pub(super) fn left_s(&self, settings: &Settings, waited_us: u64) -> Option<u64> {
        let left = self.patience(settings).saturating_sub(Duration::from_micros(waited_us)).as_secs();
        (left > 0).then_some(left)
    }

    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Refusal<'static>> {
        let mut wishes = Self::default();
        if let Some(value) = headers.get(&headers::WAIT_TIMEOUT) {
            let digits = value.as_bytes().trim_ascii();
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(Refusal::Wait);
            }
            // More digits than a number holds are more than any wait that is granted.
            wishes.wait_s = std::str::from_utf8(digits).ok().and_then(|it| it.parse().ok()).unwrap_or(u64::MAX);
        }
        if let Some(value) = headers.get(&headers::FALLBACK) {
            wishes.fallback = match value.as_bytes().trim_ascii() {
                b"on" => Some(true),
                b"off" => Some(false),
                _ => return Err(Refusal::Fallback),
            };
        }
        Ok(wishes)
    }
}
