//! Instants in the reader's own zone; the server writes them in UTC.

use crate::format;
use web_sys::Document;

/// Rewrites every `<time data-local>` and every place that names the zone.
pub(super) fn show_local(document: &Document) {
    let Some(root) = document.document_element() else { return };
    for time in super::all(&root, "time[data-local]") {
        let Some(ms) = time.get_attribute("datetime").and_then(|it| format::parse_instant(&it)) else { continue };
        let local = ms + offset_ms(ms);
        let text = match time.get_attribute("data-local").as_deref() {
            Some("day") => format::day_text(local),
            Some("second") => format::second_text(local),
            Some("clock") => format::clock_text(local),
            _ => format::minute_text(local),
        };
        time.set_text_content(Some(&text));
    }
    for zone in super::all(&root, "[data-zone]") {
        let ms = zone.get_attribute("data-zone").and_then(|it| it.parse().ok()).unwrap_or_default();
        zone.set_text_content(Some(&zone_name(offset_ms(ms) / 60_000)));
    }
    // A custom range is typed in the reader's zone and sent in UTC.
    for input in super::all(&root, "input[data-offset]") {
        #[allow(clippy::cast_possible_truncation, reason = "instants are exact in a double")]
        let now = js_sys::Date::now() as i64;
        let _ = input.set_attribute("value", &(offset_ms(now) / 60_000).to_string());
    }
}

/// `UTC`, `UTC+1`, `UTC−3:30`.
fn zone_name(minutes: i64) -> String {
    if minutes == 0 {
        return "UTC".to_owned();
    }
    let (sign, minutes) = if minutes < 0 { ('−', -minutes) } else { ('+', minutes) };
    let rest = if minutes % 60 == 0 { String::new() } else { format!(":{:02}", minutes % 60) };
    format!("UTC{sign}{}{rest}", minutes / 60)
}

/// What is added to UTC at that instant in the browser's zone.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "instants and offsets are exact in a double"
)]
fn offset_ms(ms: i64) -> i64 {
    let date = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(ms as f64));
    -(date.get_timezone_offset() as i64) * 60_000
}

#[cfg(test)]
mod tests {
    use super::zone_name;

    #[test]
    fn a_zone_is_named_by_its_distance() {
        assert_eq!([0, 60, -210, 345].map(zone_name), ["UTC", "UTC+1", "UTC−3:30", "UTC+5:45"]);
    }
}
