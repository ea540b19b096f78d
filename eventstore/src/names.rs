//! Sharing of the few names that repeat in every row read.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::ReadError;
use crate::stream::Category;

/// A log has a few dozen names; past this many they are no longer shared, only copied.
const NAMES_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Names {
    types: HashSet<Arc<str>>,
    categories: HashSet<Category>,
}

impl Names {
    pub(crate) fn event_type(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.types.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = Arc::from(name);
        if self.types.len() < NAMES_MAX {
            self.types.insert(Arc::clone(&name));
        }
        name
    }

    pub(crate) fn category(&mut self, name: &str) -> Result<Category, ReadError> {
        if let Some(known) = self.categories.get(name) {
            return Ok(known.clone());
        }
        let category = Category::parse(name).map_err(|e| ReadError::Corrupt(e.to_string()))?;
        if self.categories.len() < NAMES_MAX {
            self.categories.insert(category.clone());
        }
        Ok(category)
    }
}
