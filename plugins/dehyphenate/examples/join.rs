//! Joins the cut words of a text file, for measuring: blocks are parted by an empty line, pages by a form feed.
//!
//!     cargo run --release --example join < cut.txt > joined.txt

use dehyphenate::joined_pages;
use std::io::Read;

fn main() -> std::io::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    print!("{}", joined_pages(&text));
    Ok(())
}
