//! Header cells that sort. The order lives in the address, so a sorted table can be linked to.

use leptos::prelude::*;

/// A sortable column's header: a button of a form that asks for the table sorted otherwise, so it also works without
/// script; with `aria-sort` for those who cannot see the arrow.
#[component]
pub fn SortHeader(
    /// The words in it.
    label: &'static str,
    /// The column's name in the address.
    column: &'static str,
    /// How the table is sorted now: a column's name, `-` before it for the highest first.
    sort: String,
    /// The id of the form, whose other fields keep the rest of the address.
    form: &'static str,
    /// Whether the column holds numbers.
    #[prop(optional)]
    number: bool,
    /// The unit, under the label.
    #[prop(default = "")]
    unit: &'static str,
) -> impl IntoView {
    let order = direction(&sort, column);
    let next = next_order(&sort, column);
    view! {
        <th scope="col" class:number=number aria-sort=order>
            <button type="submit" class="sort" form=form name="sort" value=next>
                {label}
                <span class="arrow" aria-hidden="true">{match order { Some("descending") => "↓", Some(_) => "↑", None => "" }}</span>
                {(!unit.is_empty()).then(|| view! { <small>{unit}</small> })}
            </button>
        </th>
    }
}

fn direction(sort: &str, column: &str) -> Option<&'static str> {
    match sort.strip_prefix('-') {
        Some(name) if name == column => Some("descending"),
        None if sort == column => Some("ascending"),
        _ => None,
    }
}

/// What sorting by `column` asks for next: the highest first, then the lowest.
pub fn next_order(sort: &str, column: &str) -> String {
    if direction(sort, column) == Some("descending") { column.to_owned() } else { format!("-{column}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_press_shows_the_highest_first() {
        assert_eq!(next_order("-calls", "failure_rate"), "-failure_rate");
        assert_eq!(next_order("-calls", "calls"), "calls");
        assert_eq!(next_order("calls", "calls"), "-calls");
    }
}
