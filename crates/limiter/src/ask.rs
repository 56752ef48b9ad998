//! What one call needs of a scope: its estimate, whether it fits, and what it reserves.

use crate::{
    Demand, Learned, Settlement,
    in_force::{InForce, NONE},
    log::Sums,
};

/// A demand after the estimate: the numbers that the limits are checked against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The prompt estimate P.
    pub prompt: u64,
    /// The stated maximum of output.
    pub max_output: Option<u64>,
    /// The output expected of a call that states none.
    pub expected_output: u64,
    /// Tokens of the text with a ratio of 1, 0 if there is none: what the ratio is learned against.
    pub plain_text: u64,
    /// Token ids in the prompt, to which no ratio applies.
    pub token_ids: u64,
}

impl Ask {
    /// Estimates a demand with what the cell has learned.
    pub fn estimate(demand: Demand, learned: &Learned, default_output: u64) -> Self {
        let twelfths = demand.ascii_bytes.saturating_mul(3).saturating_add(demand.other_bytes.saturating_mul(4));
        let text = learned.tokens(twelfths);
        Self {
            prompt: text.saturating_add(demand.token_ids).max(1),
            max_output: demand.max_output,
            expected_output: learned.output.unwrap_or(default_output),
            plain_text: twelfths.div_ceil(12),
            token_ids: demand.token_ids,
        }
    }

    /// Prompt and all output it may have: what it would hold if there were no limit.
    fn whole(&self) -> u64 {
        self.prompt.saturating_add(self.max_output.unwrap_or(self.expected_output))
    }

    /// Tokens checked against a minute of `tpm`: prompt and maximum if that is stated and can fit, else the prompt.
    pub(crate) fn needed(&self, tpm: u64) -> u64 {
        match self.max_output {
            Some(_) if self.whole() <= tpm => self.whole(),
            _ => self.prompt,
        }
    }

    /// Whether no wait can make this call fit into `tpm`.
    pub(crate) fn never_fits(&self, tpm: u64) -> bool {
        tpm == 0 || self.prompt > tpm
    }

    /// The most that may be charged in a second of `tps` for this call to join it. A prompt bigger than a second joins a
    /// second that is not full, and closes it.
    pub(crate) fn second_allows(&self, tps: u64) -> u64 {
        if self.prompt <= tps { tps - self.prompt } else { tps - 1 }
    }

    /// Whether a scope with these sums and limits takes the call.
    #[inline]
    pub(crate) fn fits(&self, sums: &Sums, limits: &InForce) -> bool {
        let requests = sums.r60 < limits.rpm && sums.r1 < limits.rps;
        let tokens = limits.tpm == NONE
            || !self.never_fits(limits.tpm)
                && sums.t60 <= u128::from(limits.tpm - self.needed(limits.tpm))
                && sums.t1 <= u128::from(self.second_allows(limits.tps));
        requests && tokens
    }

    /// What an admitted call holds in a scope: all it may use where that fits, else all the room that is left.
    #[inline]
    pub(crate) fn reserve(&self, sums: &Sums, limits: &InForce) -> u64 {
        if limits.tpm == NONE {
            return self.whole();
        }
        let room = u128::from(limits.tpm).saturating_sub(sums.t60);
        self.whole().min(u64::try_from(room).unwrap_or(u64::MAX)).max(self.prompt)
    }
}

impl Learned {
    /// Tokens of a text of so many twelfths: 3 for an ASCII byte, 4 for another.
    fn tokens(&self, twelfths: u64) -> u64 {
        // Exactly 1 until something was learned: whole numbers then.
        if self.ratio == 1.0 {
            return twelfths.div_ceil(12);
        }
        let tokens = self.ratio * twelfths as f64 / 12.0;
        // `ceil` is a call into the mathematical library on most machines, and this is on every call's way.
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and the ratio is above 0")]
        let whole = tokens as u64;
        whole.saturating_add(u64::from((whole as f64) < tokens))
    }

    /// Moves towards what a settled call turned out to be: each time a sixteenth of the way, for the output up at once.
    pub(crate) fn learn(&mut self, ask: &Ask, settlement: Settlement) {
        let Settlement::Exact { prompt, total, ended_well } = settlement else { return };
        if let Some(text) = prompt.and_then(|it| it.checked_sub(ask.token_ids))
            && ask.plain_text > 0
        {
            let seen = text as f64 / ask.plain_text as f64;
            self.ratio = (self.ratio + (seen - self.ratio) / 16.0).clamp(0.5, 4.0);
        }
        if ended_well {
            let output = total.saturating_sub(ask.prompt);
            let expected = self.output.unwrap_or(ask.expected_output);
            self.output = Some(output.max(expected - expected.saturating_sub(output).div_ceil(16)));
        }
    }
}
