//! Charts: a crosshair and readings that all of them share, a legend that isolates a series, and a zoom by dragging.
//! What is read was written out by the server; here is only found which of it the pointer means.

use super::{all, document, times, window};
use crate::format::iso;
use std::cell::{Cell, RefCell};
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, Event, HtmlElement, MouseEvent};

/// Positions are told in thousandths of the width.
const WIDTH: i64 = 1_000;
/// What is dragged less than this was a click.
const LEAST: i64 = 8;

thread_local! {
    /// Where the pointer is, as an instant, and whether it lies on a chart.
    static AT: Cell<Option<i64>> = const { Cell::new(None) };
    /// The chart on which a drag began, and where.
    static DRAG: RefCell<Option<(Element, i64)>> = const { RefCell::new(None) };
}

/// With script, a legend is made of buttons that do something.
pub(super) fn wake(document: &Document) {
    let Some(root) = document.document_element() else { return };
    for button in all(&root, "[data-series]") {
        let _ = button.remove_attribute("disabled");
    }
}

fn number(element: &Element, name: &str) -> i64 {
    element.get_attribute(name).and_then(|it| it.parse().ok()).unwrap_or_default()
}

/// The chart under the pointer, and where on it.
#[allow(clippy::cast_possible_truncation, reason = "a position on a screen")]
fn on_plot(event: &Event) -> Option<(Element, i64)> {
    let plot = super::target(event)?.closest(".drawing").ok()??.query_selector(".plot").ok()??;
    let place = plot.get_bounding_client_rect();
    let x = f64::from(event.dyn_ref::<MouseEvent>()?.client_x()) - place.left();
    let at = (x * WIDTH as f64 / place.width().max(1.0)) as i64;
    Some((plot, at.clamp(0, WIDTH)))
}

fn instant(plot: &Element, at: i64) -> i64 {
    let (from, to) = (number(plot, "data-from"), number(plot, "data-to"));
    from + (to - from) * at / WIDTH
}

/// Shows the crosshair on every chart whose time holds the instant, and the band of a drag.
pub(super) fn moved(event: &Event) {
    let Some((plot, at)) = on_plot(event) else {
        if AT.take().is_some() && DRAG.with_borrow(Option::is_none) {
            redraw();
        }
        return;
    };
    AT.set(Some(instant(&plot, at)));
    redraw();
    DRAG.with_borrow(|drag| {
        if let Some((plot, from)) = drag {
            band(plot, (*from).min(at), (at - from).abs());
        }
    });
}

fn band(plot: &Element, from: i64, width: i64) {
    if let Some(band) = plot.query_selector(".band").ok().flatten() {
        let _ = band.set_attribute("x", &percent(from));
        let _ = band.set_attribute("width", &percent(width));
    }
}

/// `373` → `37.3%`.
fn percent(at: i64) -> String {
    format!("{}.{}%", at / 10, at % 10)
}

/// A drag begins.
pub(super) fn pressed(event: &Event) {
    let Some((plot, at)) = on_plot(event) else { return };
    let zooms = plot.closest("[data-zoom]").ok().flatten().is_some();
    let main = event.dyn_ref::<MouseEvent>().is_some_and(|it| it.button() == 0);
    if zooms && main {
        event.prevent_default();
        DRAG.set(Some((plot, at)));
    }
}

/// Whether something is dragged: then no drawing may be exchanged, since the drag would lose the one it began on.
pub(super) fn is_dragged() -> bool {
    DRAG.with_borrow(Option::is_some)
}

/// A drag ends: the stretch becomes the range, and goes into the address.
pub(super) fn released(event: &Event) {
    let Some((plot, from)) = DRAG.take() else { return };
    zoom(event, &plot, from);
    super::live::catch_up();
}

fn zoom(event: &Event, plot: &Element, from: i64) {
    band(plot, 0, 0);
    let to = on_plot(event).filter(|(it, _)| it == plot).map(|(_, at)| at);
    let Some(to) = to.filter(|to| (to - from).abs() >= LEAST) else { return };
    let Some(address) = plot.closest("[data-zoom]").ok().flatten().and_then(|it| it.get_attribute("data-zoom")) else {
        return;
    };
    let (from, to) = (instant(plot, from.min(to)), instant(plot, from.max(to)));
    let target = format!("{address}&from={}&to={}", iso(from), iso(to));
    if let Some(window) = window() {
        let _ = window.location().assign(&target);
    }
}

/// The browser took the pointer for itself, to scroll.
pub(super) fn left(_: &Event) {
    if let Some((plot, _)) = DRAG.take() {
        band(&plot, 0, 0);
    }
    AT.set(None);
    redraw();
    super::live::catch_up();
}

/// Draws the crosshair where the pointer is: after it moved, and after a drawing was exchanged.
pub(super) fn redraw() {
    let Some(root) = document().and_then(|it| it.document_element()) else { return };
    for plot in all(&root, ".plot") {
        show(&plot, AT.get());
    }
}

fn show(plot: &Element, at: Option<i64>) {
    let Some(drawing) = plot.closest(".drawing").ok().flatten() else { return };
    let (from, to) = (number(plot, "data-from"), number(plot, "data-to"));
    let found = at.filter(|at| (from..=to).contains(at)).and_then(|at| reading(plot, at));
    let _ = drawing.toggle_attribute_with_force("data-reading", found.is_some());
    let Some(tip) = drawing.query_selector(".tip").ok().flatten() else { return };
    let _ = tip.toggle_attribute_with_force("hidden", found.is_none());
    let Some((ms, values)) = found else { return };
    let x = (ms.clamp(from, to) - from) * WIDTH / (to - from).max(1);
    if let Some(cross) = plot.query_selector(".cross").ok().flatten() {
        for end in ["x1", "x2"] {
            let _ = cross.set_attribute(end, &percent(x));
        }
    }
    let _ = tip.toggle_attribute_with_force("data-left", x > WIDTH / 2);
    if let Some(tip) = tip.dyn_ref::<HtmlElement>() {
        let _ = tip.style().set_property("--x", &x.to_string());
    }
    tip.set_text_content(Some(&times::local_text(ms, number(plot, "data-step") < 60_000)));
    let names = plot.get_attribute("data-names").unwrap_or_default();
    let count = names.split('|').count();
    // A step without calls is written as nothing at all.
    let written = values.split('|').filter(|_| !values.is_empty());
    for (name, value) in names.split('|').zip(written.chain(std::iter::repeat("0"))) {
        let Some(line) = document().and_then(|it| it.create_element("span").ok()) else { continue };
        let words = if count == 1 { value.to_owned() } else { format!("{name}  {value}") };
        line.set_text_content(Some(&words));
        let _ = tip.append_child(&line);
    }
}

/// The step at an instant, and its values: the nearest point of a line, or the column that the pointer is in.
fn reading(plot: &Element, at: i64) -> Option<(i64, String)> {
    let (first, step) = (number(plot, "data-first"), number(plot, "data-step").max(1));
    let columns = plot.has_attribute("data-columns");
    let lead = if columns { 0 } else { step / 2 };
    let index = usize::try_from((at - first + lead).div_euclid(step)).ok()?;
    let rows = plot.get_attribute("data-rows")?;
    let row = rows.split(';').nth(index)?;
    let begin = first + i64::try_from(index).ok()? * step;
    Some((if columns { begin + step / 2 } else { begin }, row.to_owned()))
}

/// Shows one series alone, or all of them again.
pub(super) fn isolate(button: &Element) {
    let Some(chart) = button.closest(".chart").ok().flatten() else { return };
    let chosen = button.get_attribute("data-series").unwrap_or_default();
    let alone = chart.get_attribute("data-only").as_ref() == Some(&chosen);
    for it in all(&chart, "[data-series]") {
        let pressed = !alone && it.get_attribute("data-series").as_ref() == Some(&chosen);
        let _ = it.set_attribute("aria-pressed", if pressed { "true" } else { "false" });
    }
    let _ = if alone { chart.remove_attribute("data-only") } else { chart.set_attribute("data-only", &chosen) };
}
