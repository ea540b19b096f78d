//! Cursors of lists: opaque to callers, and good only for the list and the filter they came from.

use std::fmt::Write as _;

use crate::error::QueryError;
use crate::table::Condition;

/// FNV-1a, 64 bits. It guards against mistakes, not against malice: a forged cursor shows nothing that
/// the list would not show.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// What a cursor is bound to.
pub(crate) fn fingerprint(view: &str, conditions: &[Condition]) -> u64 {
    let bound = format!("{view} {conditions:?}");
    bound.bytes().fold(FNV_OFFSET, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    })
}

/// The cursor to continue below a row.
pub(crate) fn encode(fingerprint: u64, seq: i64) -> String {
    let mut cursor = String::with_capacity(32);
    let _ = write!(cursor, "{:016x}{fingerprint:016x}", seq.cast_unsigned());
    cursor
}

/// The row to continue below.
pub(crate) fn decode(fingerprint: u64, cursor: &str) -> Result<i64, QueryError> {
    let (seq, bound) = cursor.split_at_checked(16).ok_or(QueryError::Cursor)?;
    let number = |hex: &str| match hex.len() {
        16 => u64::from_str_radix(hex, 16).map_err(|_| QueryError::Cursor),
        _ => Err(QueryError::Cursor),
    };
    if number(bound)? != fingerprint {
        return Err(QueryError::Cursor);
    }
    Ok(number(seq)?.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_row() {
        let bound = fingerprint("customer", &[Condition::Is("status", "Paid".into())]);
        assert_eq!(decode(bound, &encode(bound, 42)).unwrap(), 42);
    }

    #[test]
    fn a_cursor_of_another_filter_is_refused() {
        let paid = fingerprint("customer", &[Condition::Is("status", "Paid".into())]);
        let shipped = fingerprint("customer", &[Condition::Is("status", "Shipped".into())]);
        assert!(decode(shipped, &encode(paid, 42)).is_err());
    }

    #[test]
    fn garbage_is_not_a_cursor() {
        for garbage in [
            "",
            "x",
            "ééééééééééééééééé",
            &"0".repeat(33),
            &"+".repeat(32),
        ] {
            assert!(decode(0, garbage).is_err(), "{garbage}");
        }
    }
}
