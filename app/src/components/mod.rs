//! Parts of pages that know the product.

pub mod editor;
pub mod frame;
pub mod increase;
pub mod live;
pub mod page;
