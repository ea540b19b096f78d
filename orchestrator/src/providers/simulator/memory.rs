//! The accounts and keys that the world works with. Only what was touched lately is held; the rest is in the archive and
//! comes back when somebody asks for it.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::account::Account;
use super::archive::Archive;
use super::names::payment_name;

/// What is remembered of a key. References are made from the sequence, so this stays small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// The order or message that it was used for.
    pub(super) account: Uuid,
    pub(super) seq: u64,
    pub(super) money: Option<(i64, [u8; 3])>,
    pub(super) refusal: Option<Box<str>>,
}

/// An account on its way to the archive, with its keys.
#[derive(Serialize, Deserialize)]
struct Archived {
    account: Account,
    calls: Vec<(Uuid, Stored)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Memory {
    accounts: HashMap<Uuid, Account>,
    calls: HashMap<Uuid, Stored>,
    /// Other names of accounts: those of payments.
    names: HashMap<Uuid, Uuid>,
    /// Which account was touched by which line, oldest first.
    touched: VecDeque<(Uuid, u64)>,
    window: usize,
    archive: Archive,
}

impl Memory {
    /// Holds what the last `window` lines touched.
    pub(super) fn new(window: usize, archive: Archive) -> Self {
        Self {
            accounts: HashMap::new(),
            calls: HashMap::new(),
            names: HashMap::new(),
            touched: VecDeque::new(),
            window,
            archive,
        }
    }

    /// The account of this name, from wherever it is.
    pub(super) fn account(&mut self, id: Uuid) -> Option<&mut Account> {
        if !self.accounts.contains_key(&id) {
            let Archived { account, calls } = self.fetch(id)?;
            self.forget_old();
            self.names.extend(names_of(&account).map(|name| (name, id)));
            self.touched.push_back((id, account.last_seq));
            self.accounts.insert(id, account);
            self.calls.extend(calls);
        }
        self.accounts.get_mut(&id)
    }

    /// The account of this name, new if there was none, touched by line `seq`.
    pub(super) fn touch(&mut self, id: Uuid, seq: u64) -> &mut Account {
        self.account(id);
        self.accounts.entry(id).or_default().last_seq = seq;
        self.touched.push_back((id, seq));
        self.forget_old();
        self.accounts.entry(id).or_default()
    }

    /// What a key stands for. `account` is where it is looked for first.
    pub(super) fn call(&mut self, account: Uuid, call: Uuid) -> Option<&Stored> {
        self.account(account);
        self.call_anywhere(call)
    }

    /// What a key stands for, whatever it was used for.
    pub(super) fn call_anywhere(&mut self, call: Uuid) -> Option<&Stored> {
        if !self.calls.contains_key(&call)
            && let Some(account) = self.name(call)
        {
            self.account(account);
        }
        self.calls.get(&call)
    }

    /// Remembers a key, unless it is known.
    pub(super) fn remember(&mut self, call: Uuid, stored: Stored) {
        if let Entry::Vacant(place) = self.calls.entry(call) {
            if let Some(account) = self.accounts.get_mut(&stored.account) {
                account.calls.push(call);
            }
            place.insert(stored);
        }
    }

    /// Forgets a key.
    pub(super) fn forget(&mut self, account: Uuid, call: Uuid) {
        self.call(account, call);
        if let Some(stored) = self.calls.remove(&call)
            && let Some(account) = self.account(stored.account)
        {
            account.calls.retain(|known| *known != call);
        }
    }

    /// The account that goes by another name.
    pub(super) fn named(&mut self, name: Uuid) -> Option<Uuid> {
        self.names.get(&name).copied().or_else(|| self.name(name))
    }

    /// Changes an account together with the names that it goes by.
    pub(super) fn rename(&mut self, id: Uuid, change: impl FnOnce(&mut Account)) {
        let Some(account) = self.accounts.get_mut(&id) else {
            return;
        };
        for name in names_of(account) {
            self.names.remove(&name);
        }
        change(account);
        self.names.extend(names_of(account).map(|name| (name, id)));
    }

    fn name(&self, name: Uuid) -> Option<Uuid> {
        self.read(name).map(|(account, _)| account)
    }

    fn fetch(&self, id: Uuid) -> Option<Archived> {
        serde_json::from_slice(&self.read(id)?.1).ok()
    }

    fn read(&self, name: Uuid) -> Option<(Uuid, Vec<u8>)> {
        let read = self.archive.get(name);
        read.inspect_err(|error| tracing::error!(%error, "the simulator's archive cannot be read"))
            .ok()
            .flatten()
    }

    fn forget_old(&mut self) {
        while self.touched.len() > self.window
            && let Some((id, seq)) = self.touched.pop_front()
        {
            if let Entry::Occupied(held) = self.accounts.entry(id)
                && held.get().last_seq == seq
            {
                let account = held.remove();
                self.put_away(id, account);
            }
        }
    }

    fn put_away(&mut self, id: Uuid, account: Account) {
        let known = |call: &Uuid| self.calls.get(call).map(|stored| (*call, stored.clone()));
        let archived = Archived {
            calls: account.calls.iter().filter_map(known).collect(),
            account,
        };
        let account = &archived.account;
        let names = account.calls.iter().copied().chain(names_of(account));
        let put = serde_json::to_vec(&archived)
            .map_err(|error| error.to_string())
            .and_then(|row| {
                let put = self.archive.put(id, names, &row);
                put.map_err(|error| error.to_string())
            });
        match put {
            Ok(()) => self.drop_keys(&archived.account),
            Err(error) => {
                tracing::error!(%error, "the simulator's archive cannot be written; its memory grows");
                self.accounts.insert(id, archived.account);
            }
        }
    }

    fn drop_keys(&mut self, account: &Account) {
        for call in &account.calls {
            self.calls.remove(call);
        }
        for name in names_of(account) {
            self.names.remove(&name);
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> [usize; 4] {
        [
            self.accounts.len(),
            self.calls.len(),
            self.names.len(),
            self.touched.len(),
        ]
    }
}

fn names_of(account: &Account) -> impl Iterator<Item = Uuid> + use<'_> {
    let charged = account.charges.iter();
    let keys = charged.filter_map(|charge| charge.payment_key.as_deref());
    let declined = account.declined.iter();
    keys.chain(declined.filter_map(|declined| declined.payment_key.as_deref()))
        .map(payment_name)
}
