//! What we ask of the outside, one trait per kind of provider, and the few words in which every answer is given.
//!
//! The distinction that money depends on is in the types: [`Answer::Unknown`] means "it may have happened" and is never
//! treated as a failure, nor is [`Answer::Undecided`]; [`Answer::NotSent`] means "it surely did not". An adapter that cannot tell the two apart answers
//! `Unknown`.

use aggregates::money::Money;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

/// What came of an attempt to have something done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// The provider did it, now or at an earlier call with the same key.
    Done(T),
    /// The provider decided against it, and the key will not be executed later.
    Refused(Refusal),
    /// It may or may not have happened: a time-out, a reset, a 5xx, an answer that makes no sense.
    Unknown(String),
    /// The provider is well and answered, and what it says decides nothing yet: a deposit is awaited, a refund is on its
    /// way, another amount was moved. It may have happened.
    Undecided(String),
    /// The provider failed, keeps that answer under the key, and a look after it showed no effect: only another key can have
    /// one.
    Spent {
        /// One sentence for people.
        reason: String,
        /// The fault was the provider's own; who is asked next may meet it as well.
        faulty: bool,
    },
    /// The request surely did not reach the provider.
    NotSent(String),
}

/// What a look-up of an earlier attempt found. Never has an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// It was done.
    Done(T),
    /// It was decided against.
    Refused(Refusal),
    /// The provider has no trace of it. Not final while somebody may still send it.
    Nothing,
    /// The provider shows something that decides nothing yet.
    Undecided(String),
    /// The look-up itself failed.
    Unknown(String),
}

impl<T> Answer<T> {
    /// Turns what was done into something else.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Done(done) => Answer::Done(f(done)),
            Self::Refused(refusal) => Answer::Refused(refusal),
            Self::Unknown(reason) => Answer::Unknown(reason),
            Self::Undecided(reason) => Answer::Undecided(reason),
            Self::Spent { reason, faulty } => Answer::Spent { reason, faulty },
            Self::NotSent(reason) => Answer::NotSent(reason),
        }
    }
}

impl<T> Found<T> {
    /// Turns what was found into something else.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::Done(done) => Found::Done(f(done)),
            Self::Refused(refusal) => Found::Refused(refusal),
            Self::Nothing => Found::Nothing,
            Self::Undecided(reason) => Found::Undecided(reason),
            Self::Unknown(reason) => Found::Unknown(reason),
        }
    }
}

/// A provider's final no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable and machine-readable, in kebab case.
    pub code: String,
    /// One sentence for people.
    pub reason: String,
}

/// A request to take money.
#[derive(Debug, Clone)]
pub struct Charge {
    /// Idempotency key; a repeat with the same key never takes money again.
    pub key: String,
    /// The order that is paid.
    pub order_id: Uuid,
    /// How much, in minor units.
    pub amount: Money,
    /// The provider's name for the way of paying, such as `card`.
    pub method: String,
    /// The customer's payment token in clear; lives only as long as this request.
    pub token: String,
    /// End of the provider's confirm window: a request received later is refused, so the key is dead from then on.
    pub not_after: DateTime<Utc>,
}

/// A request to give money back.
#[derive(Debug, Clone)]
pub struct Refund {
    /// Idempotency key.
    pub key: String,
    /// The order that was paid.
    pub order_id: Uuid,
    /// The provider's reference of the charge. An order may have been charged twice, and this is the one that goes back.
    pub charge_ref: String,
    /// How much, in minor units.
    pub amount: Money,
    /// The charge was made at this moment or later: where the provider's books have to be searched for it, the search begins
    /// here.
    pub charged_after: DateTime<Utc>,
}

impl Refund {
    /// The charge that goes back.
    #[must_use]
    pub fn charge(&self) -> ChargeName {
        ChargeName {
            order_id: self.order_id,
            charge_ref: self.charge_ref.clone(),
            charged_after: self.charged_after,
        }
    }
}

/// A charge on our books, as its provider is asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeName {
    /// The order that it was made for. It may have others.
    pub order_id: Uuid,
    /// The provider's reference of it.
    pub charge_ref: String,
    /// It was made at this moment or later, see [`Refund::charged_after`].
    pub charged_after: DateTime<Utc>,
}

/// What a provider says of one charge that it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeNow {
    /// How much was charged.
    pub amount: Money,
    /// How much of it went back so far, in however many parts.
    pub returned: Money,
    /// The provider's reference of the last part that went back.
    pub last_refund: Option<String>,
}

/// A provider's proof: its reference and the amount it moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyMoved {
    /// The provider's reference.
    pub reference: String,
    /// What was really moved, by the provider's books.
    pub amount: Money,
}

/// A payment provider.
pub trait PaymentPort: Send + Sync + 'static {
    /// Takes money once per key.
    fn charge(&self, charge: Charge) -> BoxFuture<'_, Answer<MoneyMoved>>;
    /// Looks a charge up by its key.
    fn probe<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<MoneyMoved>>;
    /// The same, of the charge that was to be made with that token. Where a provider has several payments under one order, what
    /// became of the others says nothing about this one.
    fn probe_with<'a>(
        &'a self,
        order_id: Uuid,
        key: &'a str,
        _token: &'a str,
    ) -> BoxFuture<'a, Found<MoneyMoved>> {
        self.probe(order_id, key)
    }
    /// Looks one charge up by its reference, whatever else was charged for its order. Nothing: no money moved for it.
    fn find(&self, charge: ChargeName) -> BoxFuture<'_, Found<ChargeNow>>;
    /// Gives money back once per key.
    fn refund(&self, refund: Refund) -> BoxFuture<'_, Answer<MoneyMoved>>;
    /// Looks a refund up, among those of its charge.
    fn probe_refund(&self, refund: Refund) -> BoxFuture<'_, Found<MoneyMoved>>;
    /// What the provider's books say, oldest first, of all that moved at or after `since`; whatever moves while they are
    /// read comes with the last pages. `cursor` is a page's `next`.
    fn records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> BoxFuture<'_, Found<Page<MoneyRecord>>>;
}

/// One page of a provider's books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The records; may be none although more pages follow.
    pub records: Vec<T>,
    /// Where the next page begins; nothing at the end of the books.
    pub next: Option<String>,
}

/// Which way money went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the customer to the shop.
    Charged,
    /// From the shop to the customer.
    Returned,
}

/// A movement of money in the provider's books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyRecord {
    /// The order it was booked on; whatever was written there.
    pub order_id: String,
    /// Which way it went.
    pub direction: Direction,
    /// The provider's reference of the charge; of a refund, of the charge that it returns.
    pub charge_ref: String,
    /// The provider's reference of this movement.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// When.
    pub at: DateTime<Utc>,
}

/// A parcel to be accepted by a carrier.
#[derive(Debug, Clone)]
pub struct Shipment {
    /// Idempotency key.
    pub key: String,
    /// The order inside.
    pub order_id: Uuid,
    /// Receiver in clear, or nothing where the order named none.
    pub receiver: Option<String>,
    /// Telephone in clear.
    pub phone: Option<String>,
    /// Address in clear.
    pub address: Option<String>,
}

/// The carrier's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The carrier's name.
    pub carrier: String,
    /// Its number for the parcel.
    pub waybill: String,
}

/// How far a parcel is. Moments are the carrier's scans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracking {
    /// When the carrier took it along: from here on it cannot be called back.
    pub handed_over_at: Option<DateTime<Utc>>,
    /// When it was first seen between two places.
    pub in_transit_at: Option<DateTime<Utc>>,
    /// When it went out on the last van.
    pub out_for_delivery_at: Option<DateTime<Utc>>,
    /// When it reached its receiver.
    pub delivered_at: Option<DateTime<Utc>>,
    /// What went wrong with it last, and when.
    pub exception: Option<(DateTime<Utc>, String)>,
}

impl Tracking {
    /// Whether any scan shows that it is on its way.
    #[must_use]
    pub fn is_scanned(&self) -> bool {
        let scans = [
            self.handed_over_at,
            self.in_transit_at,
            self.out_for_delivery_at,
            self.delivered_at,
        ];
        scans.iter().any(Option::is_some)
    }
}

/// Where the carrier's books say a parcel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParcelState {
    /// It has a label and is still with us.
    Accepted,
    /// It will not be taken along.
    Held,
    /// It has left.
    HandedOver,
    /// It arrived.
    Delivered,
    /// Its label is void.
    Canceled,
}

/// A parcel in the carrier's books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParcelRecord {
    /// The order inside; whatever was written there.
    pub order_id: String,
    /// Its label.
    pub label: Label,
    /// Where it is now.
    pub state: ParcelState,
    /// When the carrier accepted it.
    pub at: DateTime<Utc>,
}

/// A carrier.
pub trait CarrierPort: Send + Sync + 'static {
    /// Has a parcel accepted once per key.
    fn ship(&self, shipment: Shipment) -> BoxFuture<'_, Answer<Label>>;
    /// Looks a shipment up by its key.
    fn probe<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<Label>>;
    /// Keeps an accepted parcel from leaving; refused with `handed-over` once it left. Done as well where its label is void:
    /// nothing can leave.
    fn hold<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Answer<()>>;
    /// Looks a hold up by its key.
    fn probe_hold<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<()>>;
    /// Voids the label of a parcel that did not leave; done as well where it is void.
    fn cancel<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Answer<()>>;
    /// Looks a cancellation up by its key.
    fn probe_cancel<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<()>>;
    /// Reads the scans so far of the parcel with the label that its shipment gave. Carriers use their numbers again: what was
    /// scanned well before `shipped_at` was another parcel.
    fn track<'a>(
        &'a self,
        order_id: Uuid,
        label: &'a Label,
        shipped_at: DateTime<Utc>,
    ) -> BoxFuture<'a, Found<Tracking>>;
    /// The parcels accepted at or after `since`, oldest first, each as it is now. `cursor` is a page's `next`.
    fn records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> BoxFuture<'_, Found<Page<ParcelRecord>>>;
}

/// A message to a customer's telephone.
#[derive(Debug, Clone)]
pub struct Message {
    /// Our id of the message, carried in a custom field so that it can be looked up. Dealers do not deduplicate by it.
    pub message_id: Uuid,
    /// The order it is about; free text, as direct messages may name anything.
    pub order_id: String,
    /// `shipped`, `canceled` or `direct`.
    pub kind: String,
    /// Telephone in clear, where one is known.
    pub phone: Option<String>,
    /// The rendered text.
    pub text: String,
}

/// A dealer's proof that it took a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// By which channel it goes, such as `alimtalk`.
    pub channel: String,
    /// The dealer's reference.
    pub reference: String,
    /// The dealer's template that it was made from, where dealers have such.
    pub template: Option<String>,
    /// The channel that the dealer takes by itself if the first one does not reach the customer.
    pub fallback: Option<String>,
}

/// A Kakao message dealer. Unkeyed: a second `send` is a second message, so look up before every resend.
pub trait KakaoPort: Send + Sync + 'static {
    /// Sends once per call.
    fn send(&self, message: Message) -> BoxFuture<'_, Answer<Accepted>>;
    /// Looks a message up by our id. Real dealers can only list what went to a number, so it is named where it is known.
    fn lookup<'a>(
        &'a self,
        message_id: Uuid,
        phone: Option<&'a str>,
    ) -> BoxFuture<'a, Found<Accepted>>;
}
