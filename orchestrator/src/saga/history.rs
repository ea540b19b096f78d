//! The domain events that share a saga's uuid.

use std::sync::Arc;

use eventstore::{Category, Expected, RecordedEvent, Version};

/// All events of one uuid except the saga's own, in the order of the log. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct History {
    events: Vec<Arc<RecordedEvent>>,
}

impl History {
    /// The events in the order of the log.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &RecordedEvent> {
        self.events.iter().map(AsRef::as_ref)
    }

    /// The events of one of its streams.
    pub fn of<'a>(
        &'a self,
        category: &'a Category,
    ) -> impl DoubleEndedIterator<Item = &'a RecordedEvent> {
        self.events()
            .filter(move |event| event.stream.category == *category)
    }

    /// The version of one of its streams.
    pub fn version_of(&self, category: &Category) -> Version {
        self.of(category)
            .next_back()
            .map_or(Version::ZERO, |event| event.version)
    }

    /// What an append to one of its streams has to expect.
    pub fn expected(&self, category: &Category) -> Expected {
        match self.version_of(category) {
            Version::ZERO => Expected::NoStream,
            version => Expected::At(version),
        }
    }

    /// Adds an event that comes later in the log than all others.
    pub fn push(&mut self, event: RecordedEvent) {
        self.events.push(Arc::new(event));
    }
}
