//! Indented JSON that keeps an element of a list on one line, so that a report of many runs can be read and
//! grepped.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Writes a value as JSON with an end of line. What stands within `lists` lists or more is kept on one line.
pub(crate) fn pretty(mut out: impl Write, value: &impl Serialize, lists: usize) -> io::Result<()> {
    let formatter = Lines {
        lists,
        open_lists: 0,
        indent: 0,
        has_value: false,
    };
    value.serialize(&mut Serializer::with_formatter(&mut out, formatter))?;
    out.write_all(b"\n")?;
    out.flush()
}

struct Lines {
    lists: usize,
    open_lists: usize,
    indent: usize,
    has_value: bool,
}

impl Lines {
    /// Whether the container that is open stands on one line.
    fn inline(&self, in_list: bool) -> bool {
        let open = if in_list {
            self.open_lists - 1
        } else {
            self.open_lists
        };
        open >= self.lists
    }

    fn begin(&mut self) {
        self.indent += 1;
        self.has_value = false;
    }

    fn separate<W: ?Sized + Write>(
        &self,
        out: &mut W,
        first: bool,
        inline: bool,
        in_list: bool,
    ) -> io::Result<()> {
        match (inline, first) {
            (true, true) => out.write_all(if in_list { b"" } else { b" " }),
            (true, false) => out.write_all(b", "),
            (false, true) => self.new_line(out),
            (false, false) => {
                out.write_all(b",")?;
                self.new_line(out)
            }
        }
    }

    fn finish<W: ?Sized + Write>(&mut self, out: &mut W, inline: bool, in_list: bool) -> io::Result<()> {
        self.indent -= 1;
        match (self.has_value, inline) {
            (false, _) => Ok(()),
            (true, true) => out.write_all(if in_list { b"" } else { b" " }),
            (true, false) => self.new_line(out),
        }
    }

    fn new_line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.indent).try_for_each(|_| out.write_all(b"  "))
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin();
        self.open_lists += 1;
        out.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        let inline = self.inline(true);
        self.finish(out, inline, true)?;
        self.open_lists -= 1;
        out.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.separate(out, first, self.inline(true), true)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _out: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin();
        out.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        let inline = self.inline(false);
        self.finish(out, inline, false)?;
        out.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.separate(out, first, self.inline(false), false)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _out: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(value: &serde_json::Value, lists: usize) -> String {
        let mut out = Vec::new();
        pretty(&mut out, value, lists).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn elements_of_lists_are_one_line() {
        let value = json!({"a": {"b": [], "c": {}}, "d": [{"e": 1, "f": [1, {"g": {}}]}, {"e": 2}]});
        let expected = "{\n  \"a\": {\n    \"b\": [],\n    \"c\": {}\n  },\n  \"d\": [\n    \
                        { \"e\": 1, \"f\": [1, { \"g\": {} }] },\n    { \"e\": 2 }\n  ]\n}\n";
        assert_eq!(text(&value, 1), expected);
    }

    #[test]
    fn any_depth_is_the_same_json() {
        let value = json!([[{"a": [1, [2, 3], {}]}], [], "x", null, {"b": {"c": [[]]}}]);
        for lists in 0..5 {
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&text(&value, lists)).unwrap(),
                value
            );
        }
    }
}
