//! Typed errors beside those of tables.

use isx::{Failed, ReducerContext};

/// An account.
#[isx::table(public)]
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Whose.
    #[primary_key]
    pub name: String,
    /// As the bank knows it.
    #[unique]
    pub number: u64,
    /// What is there.
    pub balance: u64,
}

/// Why the bank refuses.
#[derive(Clone, Debug, PartialEq, isx::Typed, isx::Failure)]
pub enum Refusal {
    /// There is no such account.
    #[tag(1)]
    NoAccount,
    /// It has less.
    #[tag(2)]
    TooLittle {
        /// What it has.
        balance: u64,
    },
}

#[isx::reducer(public, inserts(account))]
fn open(ctx: &ReducerContext, name: String, number: u64, balance: u64) -> Result<(), Failed<Refusal>> {
    ctx.db.account().insert(Account { name, number, balance })?;
    Ok(())
}

#[isx::reducer(public, reads(account), updates(account))]
fn withdraw(ctx: &ReducerContext, name: String, amount: u64) -> Result<u64, Failed<Refusal>> {
    let account = ctx.db.account().get(&name)?.ok_or(Refusal::NoAccount)?;
    let balance = account.balance.checked_sub(amount).ok_or(Refusal::TooLittle { balance: account.balance })?;
    ctx.db.account().update(&Account { balance, ..account })?;
    Ok(balance)
}

/// Changes the number without looking whether there is an account: what is wrong is the table's to say.
#[isx::reducer(public, updates(account))]
fn renumber(ctx: &ReducerContext, name: String, number: u64) -> Result<(), Failed<Refusal>> {
    ctx.db.account().update(&Account { name, number, balance: 0 })?;
    Ok(())
}
