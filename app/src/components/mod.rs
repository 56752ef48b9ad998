//! Parts of pages that know the product.

#![allow(missing_docs, reason = "an island makes an undocumented struct of its properties")]

pub mod editor;
pub mod frame;
pub mod increase;
pub mod live;
pub mod page;
pub mod tabs;
