//! Names as data: for people, for CSV readers and spreadsheets, and for bash.

use std::fmt::Write;

/// Whether a character shows as itself and only as itself: no control character, no line separator, nothing
/// invisible, nothing that changes the direction of the text around it.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// A name for a person: what is not plain is an escape, and so is a backslash, so that no two names look the
/// same.
pub fn visible(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            c if is_plain(c) => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// A field of a CSV file that people open in spreadsheets. What would start a formula gets an apostrophe in
/// front, which spreadsheets take for "this is text"; what is not plain is an escape. An empty value is an
/// empty field.
pub(super) fn spreadsheet_field(value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    let mut shown = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            c if is_plain(c) => shown.push(c),
            c => shown.extend(c.escape_unicode()),
        }
    }
    // Spreadsheets skip blanks before a formula, and some take the full-width signs too.
    let starts_formula = shown
        .trim_start()
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%']);
    if starts_formula {
        shown.insert(0, '\'');
    }
    if starts_formula || shown.starts_with(' ') || shown.ends_with(' ') {
        return format!("\"{}\"", shown.replace('"', "\"\""));
    }
    csv_field(&shown)
}

/// A field of a CSV file that a program reads: exactly the value.
pub(super) fn csv_field(value: &str) -> String {
    if value.contains([',', '"', '\n', '\r', ' ', '\t']) || value.is_empty() {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

/// Whether all characters of a value are plain.
pub(super) fn all_plain(value: &str) -> bool {
    value.chars().all(is_plain)
}

/// One word of a bash command: exactly the value. `None` for a value with a NUL, which no command can be
/// given.
///
/// What is not plain is escaped byte by byte, so that it can be seen and does not depend on the locale.
pub(super) fn shell_word(value: &str) -> Option<String> {
    if value.contains('\0') {
        return None;
    }
    if all_plain(value) {
        return Some(format!("'{}'", value.replace('\'', r"'\''")));
    }
    let mut word = String::from("$'");
    for c in value.chars() {
        match c {
            '\'' => word.push_str(r"\'"),
            '\\' => word.push_str(r"\\"),
            '\n' => word.push_str(r"\n"),
            '\r' => word.push_str(r"\r"),
            '\t' => word.push_str(r"\t"),
            c if is_plain(c) => word.push(c),
            c => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Three octal digits: a hexadecimal escape could swallow what follows.
                    let _ = write!(word, "\\{byte:03o}");
                }
            }
        }
    }
    word.push('\'');
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_what_is_there() {
        assert_eq!(visible("orders-1_ü.x"), "orders-1_ü.x");
        assert_eq!(visible("a\\n\nb\x1b[2J\u{202e}"), r"a\\n\nb\u{1b}[2J\u{202e}");
    }

    #[test]
    fn formulas_become_text() {
        assert_eq!(spreadsheet_field("orders"), "orders");
        assert_eq!(spreadsheet_field("=cmd|' /C calc'!A0"), "\"'=cmd|' /C calc'!A0\"");
        assert_eq!(spreadsheet_field(" -2+3"), "\"' -2+3\"");
        for name in ["+x", "-x", "@SUM(A1)", "＝x", "|x", "%x"] {
            assert_eq!(spreadsheet_field(name), format!("\"'{name}\""));
        }
        assert_eq!(spreadsheet_field("\t=1"), r"\u{9}=1");
        assert_eq!(spreadsheet_field("a,\"b\"\r\n"), "\"a,\"\"b\"\"\\u{d}\\u{a}\"");
    }

    #[test]
    fn programs_read_the_exact_value() {
        assert_eq!(csv_field("orders"), "orders");
        assert_eq!(csv_field("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(csv_field(""), "\"\"");
    }

    #[test]
    fn words_of_the_shell_are_quoted() {
        assert_eq!(
            shell_word("it's $(x) `y`").as_deref(),
            Some(r"'it'\''s $(x) `y`'")
        );
        assert_eq!(shell_word("").as_deref(), Some("''"));
        assert_eq!(
            shell_word("a\n\x1b7'\\\u{200b}").as_deref(),
            Some(r"$'a\n\0337\'\\\342\200\213'")
        );
        assert_eq!(shell_word("a\0b"), None);
    }
}
