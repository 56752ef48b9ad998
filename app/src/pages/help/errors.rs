//! What a refusal says, which limit it means, and what to do about it.

use leptos::prelude::*;

/// A refusal by a limit: its messages, what ran out, what to do.
const LIMITS: [(&[&str], &str, &str); 3] = [
    (
        &["Requests rate limit exceeded", "You exceeded your current requests list"],
        "RPM limit reached",
        "Spread the calls: a constant rate, or a queue. Wait as long as retry-after-ms says; then one retry passes.",
    ),
    (
        &["Allocated quota exceeded", "You exceeded your current quota"],
        "TPM limit reached",
        "Send less at once, state a lower maximum of output, or have the limit raised for a while.",
    ),
    (
        &["Request rate increased too quickly"],
        "Sudden request surge triggered stability protection, even if RPM/TPM limits were not reached",
        "Let the rate grow over a minute or two instead of starting with everything.",
    ),
];

/// Other answers: status, cause, what to do.
const OTHERS: [(&str, &str, &str); 9] = [
    (
        "429, x-should-retry: false",
        "The call alone is larger than a limit, or the limit is 0",
        "Waiting does not help: shorten the prompt, or ask for a higher limit.",
    ),
    (
        "429 of the provider",
        "Sluice admitted the call; a limit of the provider's own was reached",
        "Its request id leads to a page that says so. Wait, or call a backup model, and have the limits here set to what the provider grants.",
    ),
    (
        "400",
        "The body is not valid, or a field is missing",
        "Mend the request; the message names the field or the byte.",
    ),
    (
        "401",
        "The key is unknown, revoked or expired, or its workspace was archived",
        "Look it up under API keys, and rotate it if need be.",
    ),
    ("403", "The workspace has no permission for the model", "Have the model granted under Workspaces."),
    (
        "404",
        "The account has no such model, or there is nothing at this path",
        "Compare the model's code and the base URL.",
    ),
    ("413", "The body is too large", "Send less at once."),
    (
        "502, 504",
        "The provider cannot be reached, broke off, or sent nothing for too long",
        "Retry with a growing pause, or call a backup model.",
    ),
    ("503", "The gateway is about to stop or cannot decide now", "Retry after a moment."),
];

/// The two tables.
#[component]
pub(super) fn Errors() -> impl IntoView {
    let limits: Vec<_> = LIMITS
        .iter()
        .map(|(messages, cause, remedy)| {
            let messages: Vec<_> = messages.iter().map(|it| view! { <div><code>{*it}</code></div> }).collect();
            view! { <tr><td>{messages}</td><td>{*cause}</td><td>{*remedy}</td></tr> }
        })
        .collect();
    let others: Vec<_> = OTHERS
        .iter()
        .map(|(status, cause, remedy)| view! { <tr><td><code>{*status}</code></td><td>{*cause}</td><td>{*remedy}</td></tr> })
        .collect();
    view! {
        <section class="panel" aria-labelledby="errors">
            <div class="panel-head"><h2 id="errors">"Rate limit errors"</h2><small>"HTTP status 429"</small></div>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="errors">
                <table class="roomy">
                    <thead><tr><th scope="col">"Error message"</th><th scope="col">"Cause"</th><th scope="col">"What to do"</th></tr></thead>
                    <tbody>{limits}</tbody>
                </table>
            </div>
            <p class="padded soft">
                "Limits reset within one minute. For other errors, see "<a href="#others">"Other answers"</a>". The limits of a second, RPS and TPS,
                answer with the same messages. Each refusal also says in words whose limit it was, how much of it was used and when to come back; its headers "
                <code>"retry-after-ms"</code>" and "<code>"x-ratelimit-…"</code>" say the same to programs."
            </p>
        </section>
        <section class="panel" aria-labelledby="others">
            <div class="panel-head"><h2 id="others">"Other answers"</h2></div>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="others">
                <table class="roomy">
                    <thead><tr><th scope="col">"Status"</th><th scope="col">"Cause"</th><th scope="col">"What to do"</th></tr></thead>
                    <tbody>{others}</tbody>
                </table>
            </div>
        </section>
    }
}
