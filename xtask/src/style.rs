//! Bundles and minifies `style/main.css`. A style sheet that does not parse stops the build.

use crate::{Result, step};
use lightningcss::{
    bundler::{Bundler, FileProvider},
    printer::PrinterOptions,
    stylesheet::{MinifyOptions, ParserOptions},
    targets::{Browsers, Targets},
};
use std::path::Path;

/// Browsers that know nesting, `light-dark()` and `:has()`: the style sheet is shipped as it is written.
fn targets() -> Targets {
    let version = |major: u32, minor: u32| Some((major << 16) | (minor << 8));
    Targets::from(Browsers {
        chrome: version(123, 0),
        edge: version(123, 0),
        firefox: version(121, 0),
        safari: version(17, 5),
        ..Browsers::default()
    })
}

/// The whole style sheet as one minified text.
pub(crate) fn bundle(root: &Path) -> Result<String> {
    step("style: bundling style/main.css");
    let files = FileProvider::new();
    let entry = root.join("style/main.css");
    let mut bundler = Bundler::new(&files, None, ParserOptions::default());
    let mut sheet = bundler.bundle(&entry).map_err(|error| format!("style: {error}"))?;
    sheet
        .minify(MinifyOptions { targets: targets(), ..MinifyOptions::default() })
        .map_err(|error| format!("style: {error}"))?;
    let printed = sheet
        .to_css(PrinterOptions { minify: true, targets: targets(), ..PrinterOptions::default() })
        .map_err(|error| format!("style: {error}"))?;
    Ok(printed.code)
}
