//! Draws beside other writers; what they come to is in the suite that all stores share.

use std::{pin::pin, time::Duration};

use keywright_domain::{
    command::Command,
    credit::{CreditCommand, CreditDraw, CreditStore as _, CreditSubject},
    ids::CreditAccountId,
};
use keywright_testkit::{Installation, Samples};
use tokio::time::timeout;

use crate::server::{empty_store_in, hold, own_schema, shared};

const NOW: keywright_domain::time::Timestamp = Samples::NOW;

/// The draw began when the balance was low, and waits for somebody who makes it high: what the statement's snapshot shows is too
/// little for what the lock finds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draw_that_waited_for_a_grant_draws_from_what_was_granted() {
    let options = own_schema(shared());
    let schema = options.schema.clone();
    let installation = Installation::set_up(empty_store_in(options).await).await;
    let workspace = installation.workspace.id;
    for number in 1..=10_u8 {
        let subject = CreditSubject::External(format!("customer-{number}"));
        let account = CreditAccountId::generate(NOW, installation.samples.entropy());
        let grant = CreditCommand::Grant { account, subject: subject.clone(), amount: 1, reason: None };
        let context = installation.samples.context(Samples::permit(grant.needs().0, Some(workspace)));
        installation.execute(context, Command::Credit(grant)).await.unwrap();
        let more = format!(
            "UPDATE credit_accounts SET balance = balance + 100, granted = granted + 100 WHERE subject = '{}'",
            subject.to_column()
        );
        let granter = hold(&schema, &more);
        let subjects = vec![subject.clone()];
        let draw =
            CreditDraw { slice: [number; 16], workspace, subjects, needed: 1, want: 50, nodes: 1, now: NOW };
        let mut drawing = pin!(installation.store.draw_credits(draw));
        let (drawn, has_waited) = match timeout(Duration::from_millis(50), &mut drawing).await {
            Ok(drawn) => (drawn.unwrap(), false),
            Err(_) => (drawing.await.unwrap(), true),
        };
        assert!(granter.await.unwrap().status.success());
        assert_eq!((drawn.account, drawn.units, drawn.left), (Some(account), 50, 51));
        let found = installation.store.credit_account(workspace, subject).await.unwrap().unwrap();
        assert_eq!((found.balance, found.held, found.granted), (51, 50, 101));
        assert!(found.is_balanced());
        if has_waited {
            return;
        }
    }
    panic!("no draw ever waited");
}
