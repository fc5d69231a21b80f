import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { newIncarnation, parseClusterId } from "../../node/base/ids.ts";
import { Membership } from "../../node/transport/membership.ts";
import { ReplayWindow } from "../../node/transport/replay-window.ts";
import { Group, nodeId, ok, secret } from "./support/nodes.ts";

const group = new Group();
const n1 = group.add("n1");
const n2 = group.add("n2");
const caller = (changes = {}, its = secret) => new Membership({ secret: its, directory: group.directory(n1, changes) });
const receiver = () => new Membership({ secret, directory: group.directory(n2) });
const call = { to: n2, method: "PUT", path: "/peer/blobs/x?start=1" };
const otherGroup = ok(parseClusterId("99999999-2222-3333-4444-555555555555"));

test("Membership: a member's call is known as its own", () => {
  const { authorization } = caller().signCall(call);
  const at = receiver();
  const proved = ok(at.checkCall({ ...call, authorization }));
  assert.equal(proved.nodeId, n1);
  assert.equal(at.whyNotMember(proved), undefined);
});

test("Membership: the secret is in no proof", () => {
  assert.ok(!caller().signCall(call).authorization.includes(secret));
});

test("Membership: a call made with another secret is a stranger's", () => {
  const { authorization } = caller({}, "another secret altogether").signCall(call);
  assert.equal(receiver().checkCall({ ...call, authorization }), undefined);
});

test("Membership: no header, and one of any other shape, is a stranger's", () => {
  for (const authorization of [undefined, "", "Basic bjE6c2VjcmV0", "Deposito-Peer", "Deposito-Peer n1 a b c d e"]) {
    assert.equal(receiver().checkCall({ ...call, authorization }), undefined, authorization ?? "none");
  }
});

test("Membership: a proof holds for one method and one path with its query only", () => {
  const { authorization } = caller().signCall(call);
  assert.equal(receiver().checkCall({ ...call, authorization, method: "GET" }), undefined);
  assert.equal(receiver().checkCall({ ...call, authorization, path: "/peer/blobs/x?start=2" }), undefined);
});

test("Membership: changing any character of the header makes it a stranger's", () => {
  const { authorization } = caller().signCall(call);
  fc.assert(
    fc.property(
      fc.integer({ min: 14, max: authorization.length - 1 }),
      fc.constantFrom("a", "0", "-", " "),
      (at, to) => {
        const changed = authorization.slice(0, at) + to + authorization.slice(at + 1);
        // The last character of base64url carries 4 of its 6 bits: others may stand for the same bytes.
        fc.pre(changed !== authorization && at < authorization.length - 1);
        assert.equal(receiver().checkCall({ ...call, authorization: changed }), undefined);
      },
    ),
  );
});

test("Membership: a call that is sent again is a stranger's", () => {
  const { authorization } = caller().signCall(call);
  const at = receiver();
  assert.ok(at.checkCall({ ...call, authorization }));
  assert.equal(at.checkCall({ ...call, authorization }), undefined);
});

test("Membership: who knows the secret but is of another group, no member, or an older life of one, is told why not", () => {
  const at = receiver();
  const reason = (membership: Membership, to = n2) => {
    const { authorization } = membership.signCall({ ...call, to });
    return at.whyNotMember(ok(at.checkCall({ ...call, authorization })));
  };
  assert.match(reason(caller({ clusterId: otherGroup })) ?? "", /another group/);
  assert.match(reason(caller({ clusterId: undefined })) ?? "", /another group/);
  assert.match(reason(caller({ incarnation: newIncarnation() })) ?? "", /not a member/);
  assert.match(reason(caller({ nodeId: nodeId("n9") })) ?? "", /not a member/);
  assert.match(reason(caller(), nodeId("n3")) ?? "", /this is node n2/);
});

test("Membership: an answer proves itself to the one call it answers", () => {
  const at = caller();
  const { nonce } = at.signCall(call);
  const proof = receiver().signAnswer(nonce);
  assert.equal(at.checkAnswer({ nonce, proof, from: n2 }), true);
  assert.equal(at.checkAnswer({ nonce: at.signCall(call).nonce, proof, from: n2 }), false);
  assert.equal(at.checkAnswer({ nonce, proof, from: nodeId("n3") }), false);
  assert.equal(at.checkAnswer({ nonce, proof: undefined, from: n2 }), false);
});

test("Membership: an answer of an older life of the peer is not believed", () => {
  const at = caller();
  const { nonce } = at.signCall(call);
  const older = new Membership({ secret, directory: group.directory(n2, { incarnation: newIncarnation() }) });
  assert.equal(at.checkAnswer({ nonce, proof: older.signAnswer(nonce), from: n2 }), false);
});

test("Replays: in any order, each count is accepted once", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 200 })), (counts) => {
      const window = new ReplayWindow();
      const seen = new Set<number>();
      for (const count of counts) {
        assert.equal(window.accept("s", count), !seen.has(count));
        seen.add(count);
      }
    }),
  );
});

test("Replays: a count too far behind to be told from a repeated one is refused", () => {
  const window = new ReplayWindow();
  assert.equal(window.accept("s", 1), true);
  assert.equal(window.accept("s", 50_000), true);
  assert.equal(window.accept("s", 1), false);
  assert.equal(window.accept("s", 2), false);
  assert.equal(window.accept("s", 49_999), true);
});

test("Replays: sessions are told apart, and only so many are remembered", () => {
  const window = new ReplayWindow();
  for (let session = 0; session < 1_000; session += 1) assert.equal(window.accept(`s${session}`, 1), true);
  assert.equal(window.accept("s999", 1), false);
});
