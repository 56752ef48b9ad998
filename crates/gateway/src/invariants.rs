//! What must hold of any bytes: of a request's body, of a stream, of an answer. Each function takes bytes and panics when
//! something does not hold. Fuzzers call them (`fuzz/`), and a test replays what they found worth keeping.
//! Not part of the product.

mod answer;
mod body;
mod stream;
mod tree;

pub use self::{answer::answer, body::body, stream::stream};

/// Cuts `bytes` into pieces of 1 to `most` bytes, chosen by `seed`.
fn pieces(bytes: &[u8], most: usize, seed: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (bytes, u32::from(seed) + 1);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // A step of a linear congruential generator: repeatable, which is all that is wanted of it.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (state as usize >> 16) % most + 1;
        let piece;
        (piece, rest) = rest.split_at(length.min(rest.len()));
        Some(piece)
    })
}

#[cfg(test)]
mod tests;
