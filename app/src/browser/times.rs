//! Instants in the reader's own zone; the server writes them in UTC.

use crate::format;
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, Event, HtmlInputElement};

/// Rewrites every instant and every place that names the zone; what is folded away waits until it is opened.
pub(super) fn show_local(root: &Element) {
    for time in super::all(root, "[data-local]:not(details:not([open]) *)") {
        write(&time);
    }
    for zone in super::all(root, "[data-zone]") {
        let ms = zone.get_attribute("data-zone").and_then(|it| it.parse().ok()).unwrap_or_default();
        zone.set_text_content(Some(&zone_name(offset_ms(ms) / 60_000)));
    }
    // A custom range is shown and typed in the reader's zone; the offset of each of its days is sent with it.
    for input in super::all(root, "input[data-instant]") {
        let ms = input.get_attribute("data-instant").and_then(|it| it.parse::<i64>().ok()).unwrap_or_default();
        let local = format::minute_text(ms + offset_ms(ms)).replace(' ', "T");
        let _ = input.set_attribute("value", &local);
    }
    send_offsets();
}

fn write(time: &Element) {
    let at = time.get_attribute("datetime").or_else(|| time.get_attribute("data-at"));
    let Some(ms) = at.and_then(|it| format::parse_instant(&it)) else { return };
    let local = ms + offset_ms(ms);
    let text = match time.get_attribute("data-local").as_deref() {
        Some("day") => format::day_text(local),
        Some("second") => format::second_text(local),
        Some("clock") => format::clock_text(local),
        _ => format::minute_text(local),
    };
    time.set_text_content(Some(&text));
}

/// Something was opened: what is in it is seen now.
pub(super) fn unfolded(event: &Event) {
    if let Some(details) = super::target(event).filter(|it| it.matches("details[open]").unwrap_or(false)) {
        super::all(&details, "[data-local]").iter().for_each(write);
    }
}

/// A date-time was chosen: the clocks may be set otherwise on that day.
pub(super) fn picked(event: &Event) {
    if super::target(event).is_some_and(|it| it.has_attribute("data-instant")) {
        send_offsets();
    }
}

/// Fills in how far each date-time of the custom range is ahead of UTC.
fn send_offsets() {
    let Some(root) = super::document().as_ref().and_then(Document::document_element) else { return };
    let offsets: Vec<String> = super::all(&root, "input[data-instant]")
        .into_iter()
        .filter_map(|it| it.dyn_into::<HtmlInputElement>().ok())
        .map(|input| {
            // Read as UTC; the offset near the instant is the one that counts.
            let typed = format::parse_instant(&input.value()).unwrap_or_default();
            (offset_ms(typed - offset_ms(typed)) / 60_000).to_string()
        })
        .collect();
    for input in super::all(&root, "input[data-offset]") {
        let _ = input.set_attribute("value", &offsets.join(","));
    }
}

/// `2026-11-22 11:42:07` in the reader's zone.
pub(super) fn local_text(ms: i64, seconds: bool) -> String {
    let local = ms + offset_ms(ms);
    let mut text = format::minute_text(local);
    if seconds {
        let second = local / 1_000 % 60;
        text.push_str(if second < 10 { ":0" } else { ":" });
        text.push_str(&second.to_string());
    }
    text
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
