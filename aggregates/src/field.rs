//! Refused fields, and the rules for text that comes from outside.

use std::fmt;

use serde::Serialize;

/// One refused field of a command: where it is, and what is wrong with it in a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the command as it was sent, such as `/lines/0/qty`.
    pub pointer: String,
    /// A sentence that says what would be accepted.
    pub detail: String,
}

impl FieldError {
    /// The field at `pointer` is refused because of `detail`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.detail)
    }
}

/// What a text may look like.
#[derive(Debug, Clone, Copy)]
pub struct TextRule {
    /// What the field is called in sentences, such as `The title`.
    pub name: &'static str,
    /// The longest accepted text, in characters.
    pub chars_max: usize,
    /// Whether it may have several lines.
    pub multiline: bool,
}

/// What a person gives as the reason of something. It is kept in the log for ever.
pub const REASON: TextRule = TextRule::line("The reason", 500);

impl TextRule {
    /// A text of one line.
    pub const fn line(name: &'static str, chars_max: usize) -> Self {
        Self {
            name,
            chars_max,
            multiline: false,
        }
    }

    /// A text that may contain line feeds.
    pub const fn lines(name: &'static str, chars_max: usize) -> Self {
        Self {
            name,
            chars_max,
            multiline: true,
        }
    }

    /// The first thing that is wrong with `text`, if anything is: empty or blank, too long, or a
    /// control character in it.
    pub fn check(&self, pointer: &str, text: &str) -> Option<FieldError> {
        let name = self.name;
        let chars = text.chars().count();
        if text.trim().is_empty() {
            return Some(FieldError::new(
                pointer,
                format!("{name} must not be empty."),
            ));
        }
        if chars > self.chars_max {
            let max = self.chars_max;
            let detail = format!("{name} must have at most {max} characters, not {chars}.");
            return Some(FieldError::new(pointer, detail));
        }
        let hostile = |c: &char| c.is_control() && !(self.multiline && *c == '\n');
        text.chars().find(hostile).map(|c| {
            let code = u32::from(c);
            let detail = format!("{name} must not contain the control character U+{code:04X}.");
            FieldError::new(pointer, detail)
        })
    }
}

/// One name in a JSON pointer, with `~` and `/` escaped as RFC 6901 says.
pub fn pointer_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLE: TextRule = TextRule::line("The title", 5);

    fn refusal(rule: TextRule, text: &str) -> Option<String> {
        rule.check("/title", text).map(|error| error.to_string())
    }

    #[test]
    fn a_text_is_counted_in_characters_not_bytes() {
        assert_eq!(refusal(TITLE, "다섯글자임"), None);
        assert_eq!(
            refusal(TITLE, "여섯글자입니"),
            Some("/title: The title must have at most 5 characters, not 6.".to_owned())
        );
    }

    #[test]
    fn a_blank_text_is_refused() {
        assert_eq!(
            refusal(TITLE, " \u{3000}"),
            Some("/title: The title must not be empty.".to_owned())
        );
    }

    #[test]
    fn control_characters_are_refused_by_name() {
        for (text, code) in [
            ("a\0b", "U+0000"),
            ("a\nb", "U+000A"),
            ("\u{85}x", "U+0085"),
        ] {
            let sentence =
                format!("/title: The title must not contain the control character {code}.");
            assert_eq!(refusal(TITLE, text), Some(sentence));
        }
    }

    #[test]
    fn a_text_of_several_lines_may_have_line_feeds_and_no_other_control_character() {
        let message = TextRule::lines("The message", 9);
        assert_eq!(refusal(message, "a\nb"), None);
        assert!(refusal(message, "a\rb").is_some());
    }

    #[test]
    fn a_name_is_escaped_in_a_pointer() {
        assert_eq!(pointer_token("a/b~c"), "a~1b~0c");
    }
}
