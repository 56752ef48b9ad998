//! Numbers and instants as the console writes them. Pure, the same on both sides.

/// Stands where a value does not exist; 0 is only written for a true zero.
pub const NOTHING: &str = "—";

/// `1234567` → `1,234,567`.
pub fn whole(n: u64) -> String {
    let mut text = String::new();
    push_whole(&mut text, n);
    text
}

/// Appends what [`whole`] writes.
pub fn push_whole(text: &mut String, n: u64) {
    if n < 1_000 {
        return push_digits(text, n, 1);
    }
    push_whole(text, n / 1_000);
    text.push(',');
    push_digits(text, n % 1_000, 3);
}

/// Appends a number without groups, with zeros before it where it has less than `least` digits.
pub fn push_digits(text: &mut String, n: u64, least: usize) {
    if n >= 10 || least > 1 {
        push_digits(text, n / 10, least.saturating_sub(1));
    }
    text.push(char::from(b'0' + u8::try_from(n % 10).unwrap_or(0)));
}

/// `9,999`, `12.3k`, `1.2M`, `3.4G`: what fits a tile or a column; the exact value stands in its title.
pub fn compact(n: u64) -> String {
    if n < 10_000 {
        return whole(n);
    }
    for (unit, next, suffix) in
        [(1_000, 1_000_000, "k"), (1_000_000, 1_000_000_000, "M"), (1_000_000_000, u64::MAX, "G")]
    {
        // In tenths of the unit, rounded, so that 999,950 is 1.0M and not 1000.0k.
        let tenths = (n + unit / 20) / (unit / 10);
        if n < next && (next == u64::MAX || tenths < 10_000) {
            return format!("{}.{}{suffix}", whole(tenths / 10), tenths % 10);
        }
    }
    whole(n)
}

/// A mean with one decimal below 10,000, compact above; what is there and less than a tenth is `<0.1`.
pub fn mean(value: f64) -> String {
    let mut text = String::new();
    push_mean(&mut text, value);
    text
}

/// Appends what [`mean`] writes.
pub fn push_mean(text: &mut String, value: f64) {
    if value > 0.0 && value < 0.05 {
        return text.push_str("<0.1");
    }
    if value >= 9_999.95 {
        return text.push_str(&compact(round(value)));
    }
    let tenths = round(value * 10.0);
    push_whole(text, tenths / 10);
    text.push('.');
    push_digits(text, tenths % 10, 1);
}

/// `412 ms` below 10 s, then `12.3 s`; what is there and less than a millisecond is `<1 ms`.
pub fn millis(ms: f64) -> String {
    if ms > 0.0 && ms < 0.5 {
        return "<1 ms".to_owned();
    }
    if ms < 9_999.5 { format!("{} ms", whole(round(ms))) } else { format!("{} s", mean(ms / 1_000.0)) }
}

/// Microseconds as `412 ms` below 10 s, then `12.3 s`; what is there is never shown as nothing.
pub fn seconds(us: u64) -> String {
    let ms = us.div_ceil(1_000);
    if ms < 10_000 { format!("{} ms", whole(ms)) } else { format!("{}.{} s", ms / 1_000, ms % 1_000 / 100) }
}

/// A share of 0 to 1 as a percentage with one decimal.
pub fn percent(share: f64) -> String {
    let mut text = mean(share * 100.0);
    text.push('%');
    text
}

/// To the nearest whole number; what is negative or no number is 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is what is meant")]
pub fn round(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

/// Year, month, day, hour, minute, second in UTC.
fn civil(ms: i64) -> (i64, i64, i64, i64, i64, i64) {
    let seconds = ms.div_euclid(1_000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's algorithm: days since 1970-01-01 to a date, in eras of 400 years that begin in March.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day, rest / 3_600, rest / 60 % 60, rest % 60)
}

/// `2026-11-22 11:42`, in UTC.
pub fn minute_text(ms: i64) -> String {
    let (year, month, day, hour, minute, _) = civil(ms);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// `2026-11-22 11:42:07`, in UTC.
pub fn second_text(ms: i64) -> String {
    let (.., second) = civil(ms);
    format!("{}:{second:02}", minute_text(ms))
}

/// `2026-11-22T11:42:07Z`, for machines.
pub fn iso(ms: i64) -> String {
    let (year, month, day, hour, minute, second) = civil(ms);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `11:42`, in UTC.
pub fn clock_text(ms: i64) -> String {
    let (_, _, _, hour, minute, _) = civil(ms);
    format!("{hour:02}:{minute:02}")
}

/// `22 Nov`, in UTC.
pub fn day_text(ms: i64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, month, day, ..) = civil(ms);
    let name = usize::try_from(month - 1).ok().and_then(|it| MONTHS.get(it)).copied().unwrap_or_default();
    format!("{day} {name}")
}

/// Reads `2026-11-22T11:42` (what a date-time field sends), with optional seconds and `Z`, as UTC.
pub fn parse_instant(text: &str) -> Option<i64> {
    let text = text.trim().trim_end_matches('Z');
    let (date, time) = text.split_once(['T', ' '])?;
    let number = |it: &str| it.bytes().all(|b| b.is_ascii_digit()).then(|| it.parse::<i64>().ok()).flatten();
    let mut parts = date.splitn(3, '-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = time.splitn(3, ':').map(|it| number(it.split('.').next().unwrap_or_default()));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0));
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let valid = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=days).contains(&day);
    if !valid || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let day_of_year = (153 * m + 2) / 5 + day - 1;
    let days = y.div_euclid(400) * 146_097 + y.rem_euclid(400) * 365 + y.rem_euclid(400) / 4 - y.rem_euclid(400) / 100
        + day_of_year
        - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000)
}

/// What is left until an instant: `28 days`, `5 h`, `12 min`.
pub fn left(ms: i64) -> String {
    let minutes = ms.max(0) / 60_000;
    match minutes {
        0 => "less than a minute".into(),
        1..=119 => format!("{minutes} min"),
        120..=2_879 => format!("{} h", minutes / 60),
        _ => format!("{} days", (minutes + 720) / 1_440),
    }
}

/// What is left to the second in the last day, in days and hours before it: `23:59:08`, `27 days 3 h`.
pub fn countdown(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    match days {
        0 => format!("{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60),
        1 => format!("1 day {} h", rest / 3_600),
        _ => format!("{days} days {} h", rest / 3_600),
    }
}

/// The window's title for a page, as markup: leptos_meta puts it into `<title>` as it comes, and names are anybody's words.
pub(crate) fn window_title(page: &str) -> String {
    if page.is_empty() {
        return "Sluice".to_owned();
    }
    format!("{} · Sluice", page.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_shorten_without_four_digits_before_the_point() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (9_999, "9,999"),
            (10_000, "10.0k"),
            (12_345, "12.3k"),
            (999_949, "999.9k"),
            (999_950, "1.0M"),
            (1_234_567, "1.2M"),
            (999_949_999, "999.9M"),
            (999_950_000, "1.0G"),
            (5_000_000_000, "5.0G"),
        ] {
            assert_eq!(compact(n), text, "{n}");
        }
        assert_eq!(whole(1_234_567), "1,234,567");
    }

    #[test]
    fn times_and_shares() {
        assert_eq!([411.6, 9_999.4, 9_999.6, 12_345.0].map(millis), ["412 ms", "9,999 ms", "10.0 s", "12.3 s"]);
        assert_eq!([1, 412_000, 9_999_001, 12_345_678].map(seconds), ["1 ms", "412 ms", "10.0 s", "12.3 s"]);
        assert_eq!([0.0, 0.0318, 1.0].map(percent), ["0.0%", "3.2%", "100.0%"]);
        assert_eq!([0.05, 486.25, 12_345.6].map(mean), ["0.1", "486.3", "12.3k"]);
    }

    #[test]
    fn only_a_true_zero_is_written_as_zero() {
        assert_eq!([0.0, 0.04].map(mean), ["0.0", "<0.1"]);
        assert_eq!([0.0, 0.000_1].map(percent), ["0.0%", "<0.1%"]);
        assert_eq!([0.0, 0.3].map(millis), ["0 ms", "<1 ms"]);
    }

    #[test]
    fn instants_survive_being_written_and_read() {
        for ms in [0, 951_782_400_000, 1_795_347_720_000, 4_102_444_799_000] {
            assert_eq!(parse_instant(&iso(ms)), Some(ms), "{}", iso(ms));
        }
        assert_eq!(minute_text(951_782_400_000), "2000-02-29 00:00");
        assert_eq!(second_text(951_782_407_999), "2000-02-29 00:00:07");
        for text in
            ["", "2026-11-22", "2026-13-01T00:00", "2026-11-22T24:00", "x-1-1T0:0", "99999-01-01T00:00", "-1-1-1T0:0"]
        {
            assert_eq!(parse_instant(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_day_that_its_month_does_not_have_is_no_day() {
        for text in ["2027-02-29T00:00", "2027-02-31T00:00", "2100-02-29T00:00", "2027-04-31T00:00", "2027-01-32T00:00"]
        {
            assert_eq!(parse_instant(text), None, "{text:?}");
        }
        for text in ["2028-02-29T00:00", "2000-02-29T00:00", "2027-04-30T00:00", "2027-12-31T00:00"] {
            assert!(parse_instant(text).is_some_and(|it| iso(it).starts_with(&text[..10])), "{text:?}");
        }
    }

    #[test]
    fn a_countdown_is_exact_in_its_last_day() {
        assert_eq!(
            [-5, 999, 86_399_000, 86_400_000, 30 * 86_400_000 - 1].map(countdown),
            ["00:00:00", "00:00:00", "23:59:59", "1 day 0 h", "29 days 23 h"]
        );
    }

    #[test]
    fn what_is_left() {
        assert_eq!(
            [0, 59_000, 720_000, 18_000_000, 28 * 86_400_000].map(left),
            ["less than a minute", "less than a minute", "12 min", "5 h", "28 days"]
        );
    }

    #[test]
    fn a_name_ends_no_title() {
        assert_eq!(window_title("</title><b>R&D"), "&lt;/title&gt;&lt;b&gt;R&amp;D · Sluice");
        assert_eq!(window_title(""), "Sluice");
    }
}
