//! A connection that comes back: when it is lost, another is made, with growing rests between the attempts.

use std::{sync::Arc, time::Duration};

use keywright_domain::store::StoreError;
use tokio::{sync::watch, time::sleep};

use crate::connect::{ConnectError, Connected, Plan, connect};

const REST_FIRST: Duration = Duration::from_millis(50);
const REST_LAST: Duration = Duration::from_secs(2);

/// Whether there is a connection now.
#[derive(Clone)]
pub(crate) enum State {
    /// There is.
    Up(Arc<Connected>),
    /// There is not, and why.
    Down(Arc<str>),
}

/// A connection that comes back.
#[derive(Clone)]
pub(crate) struct Lane(watch::Receiver<State>);

impl Lane {
    /// Connects for the first time, and from then on again whenever the connection is lost. The statements are prepared
    /// ahead each time. To be called in the runtime that shall drive it.
    pub(crate) async fn start(
        plan: Arc<Plan>,
        statements: &'static [&'static str],
    ) -> Result<Self, ConnectError> {
        let (connected, mut driver) = connect(&plan).await?;
        connected.warm(statements).await?;
        let (state, lane) = watch::channel(State::Up(Arc::new(connected)));
        tokio::spawn(async move {
            loop {
                let reason = driver.await.unwrap_or_else(|_| "the connection was given up".to_owned());
                tracing::warn!(%reason, "a connection to PostgreSQL was lost");
                state.send_replace(down(&reason));
                driver = match connect_again(&plan, statements, &state).await {
                    Some((connected, driver)) => {
                        state.send_replace(State::Up(Arc::new(connected)));
                        driver
                    }
                    None => return,
                };
            }
        });
        Ok(Self(lane))
    }

    /// The connection.
    pub(crate) fn get(&self) -> Result<Arc<Connected>, StoreError> {
        match &*self.0.borrow() {
            State::Up(connected) => Ok(Arc::clone(connected)),
            State::Down(reason) => Err(unavailable(reason)),
        }
    }

    /// Waits for a change of the state.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn connect_again(
    plan: &Plan,
    statements: &[&'static str],
    state: &watch::Sender<State>,
) -> Option<(Connected, tokio::task::JoinHandle<String>)> {
    let mut rest = REST_FIRST;
    loop {
        if state.is_closed() {
            return None;
        }
        let error = match connect(plan).await {
            Ok((connected, driver)) => match connected.warm(statements).await {
                Ok(()) => return Some((connected, driver)),
                Err(fault) => fault.into(),
            },
            Err(error) => error,
        };
        state.send_replace(down(&error.to_string()));
        sleep(rest).await;
        rest = (rest * 2).min(REST_LAST);
    }
}

fn down(reason: &str) -> State {
    State::Down(reason.into())
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable(format!("there is no connection to PostgreSQL now ({reason}); it is tried again"))
}
