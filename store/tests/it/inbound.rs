//! What contacts write: kept once, and heard where it asks to hear nothing more.

use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::ContactId;
use dripline_domain::money::Micros;
use dripline_store::contact;
use dripline_store::ops::{InboundMessage, Inbounded, receive_inbound};
use dripline_store::testing::factory::Scene;

use crate::support::Stage;

const CONTACT: &str = "contact";

impl Stage {
    async fn write(&self, messages: &[InboundMessage]) -> Vec<Inbounded> {
        receive_inbound(self.pool(), &self.clock, CONTACT, messages).await.unwrap()
    }

    async fn phone(&self, contact_id: ContactId) -> String {
        let contact = contact::load(self.pool(), contact_id).await.unwrap().unwrap();
        contact.phone.as_str().to_owned()
    }

    async fn execute(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.pool()).await.unwrap();
    }

    async fn has_opted_out(&self, contact_id: ContactId) -> bool {
        contact::load(self.pool(), contact_id).await.unwrap().unwrap().opted_out_at.is_some()
    }
}

fn message(scene: &Scene, id: &str, sender: &str, text: &str) -> InboundMessage {
    InboundMessage {
        account_id: scene.account_id,
        route_id: scene.route_id,
        carrier_reference: id.to_owned(),
        sender: sender.to_owned(),
        recipient: "+4930123456".to_owned(),
        text: text.to_owned(),
    }
}

#[tokio::test]
async fn each_message_is_kept_once_with_its_contact() {
    use Inbounded::{Kept, Known};
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let sender = stage.phone(scene.contacts[0]).await;
    let batch = [
        message(&scene, "SM1", &sender, "when do you open?"),
        message(&scene, "SM2", "+12025550123", "wrong number"),
        message(&scene, "SM1", &sender, "when do you open?"),
    ];
    assert_eq!(stage.write(&batch).await, [Kept, Kept, Known]);
    assert_eq!(stage.write(&batch).await, [Known; 3]);
    assert_eq!(stage.count("SELECT count(*) FROM inbound_messages").await, 2);
    assert_eq!(stage.count("SELECT count(contact_id) FROM inbound_messages").await, 1);
    assert_eq!(stage.states(scene.workflow_id).await, [DeliveryState::Queued; 2]);
    assert_eq!(stage.write(&[]).await, []);
    // The same id over another account's route is another message.
    let other = Scene::create(stage.pool(), &stage.clock, 1, 1).await;
    assert_eq!(stage.write(&[message(&other, "SM1", &sender, "hello")]).await, [Kept]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn who_asks_to_hear_nothing_more_leaves_and_gets_the_rest_back() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, 2).await;
    let before = stage.balance(scene.account_id).await;
    let (leaves, stays) = (scene.contacts[0], scene.contacts[1]);
    let stop = message(&scene, "SM1", &stage.phone(leaves).await, " unsubscribe ");
    assert_eq!(stage.write(std::slice::from_ref(&stop)).await, [Inbounded::OptedOut(leaves)]);
    assert!(stage.has_opted_out(leaves).await && !stage.has_opted_out(stays).await);
    assert_eq!(stage.exits(leaves).await, [Some("opted_out".to_owned())]);
    assert_eq!(stage.exits(stays).await, [None]);
    let after = stage.balance(scene.account_id).await;
    assert_eq!(after.held, Micros(before.held.0 / 2));
    assert_eq!(stage.write(&[stop]).await, [Inbounded::Known]);
    assert_eq!(stage.balance(scene.account_id).await, after);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_copy_finishes_what_the_first_one_was_cut_off_in() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let contact = scene.contacts[0];
    let stop = message(&scene, "SM1", &stage.phone(contact).await, "STOP");
    // As after a crash behind the first COMMIT: the message and the note are there, and the enrollment lives.
    stage
        .execute(
            "INSERT INTO inbound_messages (account_id, route_id, carrier_reference, contact_id, sender, recipient, text,
                                           opted_out, received_at)
             SELECT account_id, (SELECT route_id FROM routes), 'SM1', contact_id, phone, '', 'STOP', TRUE, now()
             FROM contacts",
        )
        .await;
    stage.execute("UPDATE contacts SET opted_out_at = clock_timestamp()").await;
    assert_eq!(stage.write(std::slice::from_ref(&stop)).await, [Inbounded::Known]);
    assert_eq!(stage.exits(contact).await, [Some("opted_out".to_owned())]);
    stage.assert_sound().await;
}

#[tokio::test]
async fn an_old_copy_does_not_put_out_who_was_asked_back_in() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let contact = scene.contacts[0];
    let stop = message(&scene, "SM1", &stage.phone(contact).await, "STOP");
    stage.write(std::slice::from_ref(&stop)).await;
    stage.execute("UPDATE contacts SET opted_out_at = NULL").await;
    assert_eq!(stage.write(&[stop]).await, [Inbounded::Known]);
    assert!(!stage.has_opted_out(contact).await);
}

#[tokio::test]
async fn nobody_puts_out_another_accounts_contact() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let other = Scene::create(stage.pool(), &stage.clock, 1, 0).await;
    let sender = stage.phone(scene.contacts[0]).await;
    assert_eq!(stage.write(&[message(&other, "SM1", &sender, "STOP")]).await, [Inbounded::Kept]);
    assert!(!stage.has_opted_out(scene.contacts[0]).await);
    assert_eq!(stage.exits(scene.contacts[0]).await, [None]);
}
