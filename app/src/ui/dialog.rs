//! A native dialog: opened by a button that names it, or by the address; closed by `Esc`, its button or the address.

use super::Icon;
use leptos::prelude::*;

/// A modal dialog. A `<button command="show-modal" commandfor=id>` opens it without script; `open` (from the address)
/// shows it at once.
#[component]
pub fn Dialog(
    /// What buttons name in `commandfor`.
    #[prop(into)]
    id: String,
    /// Its heading.
    #[prop(into)]
    title: String,
    /// Whether the address asks for it.
    open: bool,
    /// Where closing leads when the address asked for it.
    #[prop(into)]
    back: String,
    /// Classes beside `dialog`.
    #[prop(optional, into)]
    class: String,
    children: Children,
) -> impl IntoView {
    let title_id = format!("{id}-title");
    let labelled_by = title_id.clone();
    let data_back = open.then(|| back.clone());
    view! {
        <dialog id=id class=format!("dialog {class}") aria-labelledby=labelled_by open=open data-back=data_back>
            <div class="dialog-head">
                <h2 id=title_id>{title}</h2>
                <a class="close" href=back data-close="" aria-label="Close"><Icon name="close"/></a>
            </div>
            {children()}
        </dialog>
    }
}
