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

/// The cursor to continue below a row, from what the list is ordered by.
pub(crate) fn encode<const N: usize>(fingerprint: u64, below: [i64; N]) -> String {
    let mut cursor = String::with_capacity(16 * (N + 1));
    for value in below {
        let _ = write!(cursor, "{:016x}", value.cast_unsigned());
    }
    let _ = write!(cursor, "{fingerprint:016x}");
    cursor
}

/// The row to continue below.
pub(crate) fn decode<const N: usize>(
    fingerprint: u64,
    mut cursor: &str,
) -> Result<[i64; N], QueryError> {
    let mut next = || {
        let (hex, rest) = cursor.split_at_checked(16).ok_or(QueryError::Cursor)?;
        cursor = rest;
        u64::from_str_radix(hex, 16).map_err(|_| QueryError::Cursor)
    };
    let mut below = [0; N];
    for value in &mut below {
        *value = next()?.cast_signed();
    }
    if next()? != fingerprint || !cursor.is_empty() {
        return Err(QueryError::Cursor);
    }
    Ok(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_row() {
        let bound = fingerprint("customer", &[Condition::Is("status", "Paid".into())]);
        assert_eq!(decode(bound, &encode(bound, [42])).unwrap(), [42]);
        let below = [-1_700_000_000_000, 42];
        assert_eq!(decode(bound, &encode(bound, below)).unwrap(), below);
    }

    #[test]
    fn a_cursor_of_a_list_in_another_order_is_refused() {
        assert!(decode::<2>(7, &encode(7, [42])).is_err());
        assert!(decode::<1>(7, &encode(7, [42, 7])).is_err());
    }

    #[test]
    fn a_cursor_of_another_filter_is_refused() {
        let paid = fingerprint("customer", &[Condition::Is("status", "Paid".into())]);
        let shipped = fingerprint("customer", &[Condition::Is("status", "Shipped".into())]);
        assert!(decode::<1>(shipped, &encode(paid, [42])).is_err());
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
            assert!(decode::<1>(0, garbage).is_err(), "{garbage}");
        }
    }
}
