//! Values as JSON text, laid out for people or not.
//!
//! The text is that of serde_json to the byte, two spaces a level where it is laid out; a test holds the two together. It
//! is written here because a page has some 1,500 fields: their names are constants that need no escaping, their places
//! on the page have few digits, and an item is written at once at the depth where it stands.

use ocr_plugin::text::Part;
use ocr_plugin::{push, text};

/// JSON being written.
#[derive(Debug)]
pub struct Json {
    pub out: String,
    indent: bool,
    /// How many objects and arrays are open around what is written next.
    depth: usize,
    /// Whether the innermost of them is empty so far.
    is_empty: bool,
}

impl Json {
    /// Begins at a depth.
    pub fn new(indent: bool, depth: usize) -> Self {
        Self {
            out: String::new(),
            indent,
            depth,
            is_empty: true,
        }
    }

    /// Opens an object or array.
    pub fn open(&mut self, bracket: &'static str) {
        push!(self.out, bracket);
        self.depth += 1;
        self.is_empty = true;
    }

    pub fn close(&mut self, bracket: &'static str) {
        self.depth -= 1;
        if self.indent && !self.is_empty {
            self.line("\n                ");
        }
        self.is_empty = false;
        push!(self.out, bracket);
    }

    /// Begins an item of an array, or a field's name.
    pub fn begin(&mut self) {
        let is_first = std::mem::replace(&mut self.is_empty, false);
        match (self.indent, is_first) {
            (true, true) => self.line("\n                "),
            (true, false) => self.line(",\n                "),
            (false, true) => {}
            (false, false) => self.out.push(','),
        }
    }

    /// Begins a line with a start that has `SPACES` at its end: what is known in its length and cut is written faster
    /// than what is copied in part.
    #[inline(always)]
    fn line(&mut self, start: &'static str) {
        const SPACES: usize = 16;
        self.out.push_str(start);
        match (2 * self.depth).checked_sub(SPACES) {
            None => self.out.truncate(self.out.len() + 2 * self.depth - SPACES),
            Some(missing) => self.out.extend(std::iter::repeat_n(' ', missing)),
        }
    }

    /// Begins a field; its name has its quotes, its colon and the space already. Inlined, the name's length is known.
    #[inline(always)]
    fn key(&mut self, key: &'static str) {
        self.begin();
        self.out.push_str(key);
        if !self.indent {
            self.out.pop();
        }
    }

    /// Begins a field.
    pub fn name(&mut self, name: &str) {
        self.begin();
        name.write(self);
        push!(self.out, if self.indent { ": " } else { ":" });
    }

    fn array<'v>(&mut self, items: impl IntoIterator<Item = &'v (impl Value + 'v)>) {
        self.open("[");
        for item in items {
            self.begin();
            item.write(self);
        }
        self.close("]");
    }
}

/// What has a JSON form.
pub trait Value {
    fn write(&self, json: &mut Json);

    /// Writes it as a field of an object; what is missing is left out.
    #[inline(always)]
    fn write_field(&self, key: &'static str, json: &mut Json) {
        json.key(key);
        self.write(json);
    }
}

/// Makes a struct an object of its fields, under their own names or another one.
macro_rules! object {
    ($kind:ident: $($field:ident $(as $name:literal)?),+) => {
        impl $crate::json::Value for $kind<'_> {
            object!(@write $($field $(as $name)?),+);
        }
    };
    (plain $kind:ident: $($field:ident $(as $name:literal)?),+) => {
        impl $crate::json::Value for $kind {
            object!(@write $($field $(as $name)?),+);
        }
    };
    // Its fields stand among those of the object that it is part of.
    (part $kind:ident: $($field:ident),+) => {
        impl $crate::json::Value for $kind {
            object!(@write $($field),+);

            fn write_field(&self, _: &'static str, json: &mut $crate::json::Json) {
                object!(@fields self, json, $($field),+);
            }
        }
    };
    (@write $($field:ident $(as $name:literal)?),+) => {
        fn write(&self, json: &mut $crate::json::Json) {
            json.open("{");
            object!(@fields self, json, $($field $(as $name)?),+);
            json.close("}");
        }
    };
    (@fields $self:ident, $json:ident, $($field:ident $(as $name:literal)?),+) => {
        $($self.$field.write_field(object!(@key $field $($name)?), $json);)+
    };
    (@key $field:ident) => { concat!("\"", stringify!($field), "\": ") };
    (@key $field:ident $name:literal) => { concat!("\"", $name, "\": ") };
}
pub(crate) use object;

impl Value for str {
    fn write(&self, json: &mut Json) {
        let stays = |b: u8| (b >= b' ') & (b != b'"') & (b != b'\\');
        let escaped = text::mapped(self, stays, |out, c| match c {
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control => out.push_str(&format!("\\u{:04x}", u32::from(control))),
        });
        push!(json.out, "\"", escaped, "\"");
    }
}

/// A text of our own, in which nothing has to be escaped.
#[derive(Debug, Clone, Copy)]
pub struct Name(pub &'static str);

impl Value for Name {
    fn write(&self, json: &mut Json) {
        push!(json.out, "\"", self.0, "\"");
    }
}

impl<T: Value + ?Sized> Value for &T {
    fn write(&self, json: &mut Json) {
        (**self).write(json);
    }
}

impl Value for String {
    fn write(&self, json: &mut Json) {
        self.as_str().write(json);
    }
}

impl<T: Value> Value for Option<T> {
    fn write(&self, json: &mut Json) {
        match self {
            Some(value) => value.write(json),
            None => json.out.push_str("null"),
        }
    }

    fn write_field(&self, key: &'static str, json: &mut Json) {
        if let Some(value) = self {
            value.write_field(key, json);
        }
    }
}

impl<T: Value> Value for Vec<T> {
    fn write(&self, json: &mut Json) {
        json.array(self);
    }
}

impl<T: Value, const N: usize> Value for [T; N] {
    fn write(&self, json: &mut Json) {
        json.array(self);
    }
}

impl Value for bool {
    fn write(&self, json: &mut Json) {
        json.out.push_str(if *self { "true" } else { "false" });
    }
}

macro_rules! whole_numbers {
    ($($number:ty),+) => {
        $(impl Value for $number {
            fn write(&self, json: &mut Json) {
                self.push_to(&mut json.out);
            }
        })+
    };
}

whole_numbers!(u8, u32, u64, usize);

impl Value for f64 {
    fn write(&self, json: &mut Json) {
        // A number of fifteen digits and less is the shortest text of its `f64`, which is what serde_json looks for.
        let thousandths = (self * 1e3).round_ties_even().abs();
        let is_exact = thousandths <= f64::from(u32::MAX) && thousandths / 1e3 == self.abs();
        if !is_exact || (*self == 0.0 && self.is_sign_negative()) {
            // Without a number there is `null`.
            json.out.push_str(&serde_json::json!(self).to_string());
            return;
        }
        if *self < 0.0 {
            json.out.push('-');
        }
        let thousandths = thousandths as u32;
        let (whole, mut rest) = (thousandths / 1000, thousandths % 1000);
        push!(json.out, whole, ".");
        for worth in [100, 10, 1] {
            json.out.push(char::from(b'0' + (rest / worth) as u8));
            rest %= worth;
            if rest == 0 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    impl Value for serde_json::Value {
        fn write(&self, json: &mut Json) {
            match self {
                serde_json::Value::Null => json.out.push_str("null"),
                serde_json::Value::Bool(value) => value.write(json),
                serde_json::Value::Number(number) => match number.as_u64() {
                    Some(number) => number.write(json),
                    None => number.as_f64().unwrap().write(json),
                },
                serde_json::Value::String(text) => text.write(json),
                serde_json::Value::Array(items) => items.write(json),
                serde_json::Value::Object(fields) => {
                    json.open("{");
                    for (name, value) in fields {
                        json.name(name);
                        value.write(json);
                    }
                    json.close("}");
                }
            }
        }
    }

    fn written(value: &impl Value, indent: bool, depth: usize) -> String {
        let mut json = Json::new(indent, depth);
        value.write(&mut json);
        json.out
    }

    #[test]
    fn the_layout_is_that_of_serde_json() {
        let mut value = json!({"a": [], "b": {}, "c": [1, {"d": [[], "e\n", true]}, null], "f": 0.5});
        for _ in 0..40 {
            for depth in 0..3 {
                let pretty = serde_json::to_string_pretty(&value).unwrap();
                let pretty = pretty.replace('\n', &format!("\n{}", "  ".repeat(depth)));
                assert_eq!(written(&value, true, depth), pretty);
                assert_eq!(written(&value, false, depth), value.to_string());
            }
            value = json!({"deeper": [value]});
        }
    }

    #[test]
    fn texts_are_those_of_serde_json() {
        let all: String = ('\0'..='\u{17f}')
            .chain(['\u{2028}', '\u{fffe}', '\u{1f600}'])
            .collect();
        for text in [
            all.as_str(),
            "",
            "C:\\dir \"x\"",
            "plain \u{e9} text, longer than a block",
        ] {
            assert_eq!(written(&text, true, 0), json!(text).to_string());
        }
    }

    #[test]
    fn numbers_are_those_of_serde_json() {
        let mut values: Vec<f64> = (0..30_000).map(|n| f64::from(n) / 1e3).collect();
        let scattered = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        values.extend((0..30_000).map(|n| (scattered(n) >> 20) as f64 / 1e3));
        values.extend((0..30_000).map(|n| (scattered(n) >> 34) as f64 / 1e3));
        values.extend((0..30_000).map(|n| (scattered(n) >> 24) as f64 / 1e4));
        values.extend((0..30_000).map(|n| f64::from_bits(scattered(n))));
        values.extend([
            1e9,
            4_294_967.295,
            4_294_967.296,
            1e15,
            1e16,
            1e-3,
            1e-4,
            5e-4,
            f64::NAN,
        ]);
        for value in values.into_iter().flat_map(|v| [v, -v]) {
            assert_eq!(written(&value, false, 0), json!(value).to_string());
        }
        for number in [0, 9, 10, 1_000_000, u64::MAX] {
            assert_eq!(written(&number, false, 0), number.to_string());
        }
    }
}
