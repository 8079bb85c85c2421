//! What shows that a node has the same secrets as the others.

use std::collections::BTreeMap;

use keywright_domain::store::StoreError;

use super::{PostgresControl, line::Need, sql};
use crate::{
    fault::Fault,
    params,
    rows::{each, text},
};

/// Check values by what they are of, such as `pepper 1`.
pub type SecretChecks = BTreeMap<String, String>;

impl PostgresControl {
    /// The check values that nodes have noted.
    ///
    /// # Errors
    /// [`StoreError`], as with all of these.
    pub async fn secret_checks(&self) -> Result<SecretChecks, StoreError> {
        let rows = self.registry.query(sql::SECRET_CHECKS, params![], Need::Answer).await?;
        let checks = each(&rows, |row| Ok::<_, Fault>((text(row, 0)?.to_owned(), text(row, 1)?.to_owned())));
        Ok(checks.map_err(Fault::into_store_error)?.into_iter().collect())
    }

    /// Notes a check value if there is none of that name yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_secret_check(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let values = params![name.to_owned(), value.to_owned()];
        self.registry.query(sql::NOTE_SECRET_CHECK, values, Need::Durable).await?;
        Ok(())
    }

    /// Replaces a check value, whatever it was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_secret_check(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let values = params![name.to_owned(), value.to_owned()];
        self.registry.query(sql::REPLACE_SECRET_CHECK, values, Need::Durable).await?;
        Ok(())
    }
}
