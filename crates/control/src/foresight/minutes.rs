//! The estimate from roll-ups: what of each minute would have been above the limit, were its calls spread evenly.

use domain::Limits;
use store::rollup::Point;

use super::{Effect, count};

/// What `limits` would have refused. A refused call has no tokens in the figures: it is taken for one of the mean size.
pub(super) fn effect(points: &[Point], limits: Limits) -> Effect {
    let sum = |of: fn(&Point) -> i64| points.iter().map(of).fold(0_u64, |sum, it| sum.saturating_add(count(it)));
    let admitted = sum(|it| it.figures.calls - it.figures.refused());
    let mean = sum(|it| it.figures.tokens_total) as f64 / admitted.max(1) as f64;
    let mut effect = Effect::default();
    for point in points {
        let calls = count(point.figures.calls);
        let refused = count(point.figures.refused());
        let by_requests = limits.rpm.map_or(0, |it| calls.saturating_sub(it.get()));
        let tokens = count(point.figures.tokens_total) as f64 + refused as f64 * mean;
        // Of what the requests' limit lets through, as much as goes beyond the tokens' limit.
        let left = calls - by_requests;
        let each = tokens / calls.max(1) as f64;
        let by_tokens = match limits.tpm {
            Some(tpm) if each > 0.0 => {
                #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and the number is above 0")]
                let fitting = (tpm.get() as f64 / each) as u64;
                left.saturating_sub(fitting)
            }
            Some(tpm) if tpm.get() == 0 => left,
            _ => 0,
        };
        effect.refused.requests += by_requests;
        effect.refused.tokens += by_tokens;
        effect.note(point.at_ms, by_requests + by_tokens);
    }
    effect
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foresight::Refused;
    use domain::{Rpm, Tpm};
    use store::rollup::Figures;

    fn minute(at: i64, calls: i64, refused_requests: i64, tokens_total: i64) -> Point {
        let figures = Figures { calls, refused_requests, tokens_total, ..Figures::default() };
        Point { at_ms: at * 60_000, first_at_ms: at * 60_000, figures }
    }

    fn check(points: &[Point], rpm: Option<u64>, tpm: Option<u64>, refused: (u64, u64), worst: Option<(i64, u64)>) {
        let limits = Limits { rpm: rpm.and_then(Rpm::new), tpm: tpm.and_then(Tpm::new) };
        let expected = Effect { refused: Refused { requests: refused.0, tokens: refused.1, surge: 0 }, worst };
        assert_eq!(effect(points, limits), expected, "{rpm:?} {tpm:?}");
    }

    #[test]
    fn what_is_above_the_limit_of_a_minute_is_refused() {
        let points = [minute(0, 100, 0, 10_000), minute(1, 50, 0, 5_000), minute(2, 120, 20, 10_000)];
        check(&points, None, None, (0, 0), None);
        check(&points, Some(60), None, (40 + 60, 0), Some((120_000, 60)));
        // 100 tokens a call; the third minute has 120 calls of which 20 were refused then.
        check(&points, None, Some(8_000), (0, 20 + 40), Some((120_000, 40)));
        check(&points, Some(60), Some(5_000), (100, 10 + 10), Some((120_000, 70)));
        check(&points, Some(0), None, (270, 0), Some((120_000, 120)));
        check(&points, None, Some(0), (0, 270), Some((120_000, 120)));
    }

    #[test]
    fn calls_without_tokens_need_none() {
        check(&[minute(0, 10, 0, 0)], None, Some(5), (0, 0), None);
        check(&[minute(0, 10, 0, 0)], None, Some(0), (0, 10), Some((0, 10)));
        check(&[], Some(0), Some(0), (0, 0), None);
    }
}
