import type { RequestHandler, Response } from "express";
import { DepositoError } from "../base/errors.ts";
import type { NodeId } from "../base/ids.ts";
import { answerProofHeader, type Caller, type Membership } from "../transport/membership.ts";
import type { PeerApiOptions, PeerServices } from "./context.ts";
import { sendProblem } from "./problem-handler.ts";

/** Lets only through who knows the secret, and proves the same in the answer. Everyone else learns nothing. */
export function requireProof(membership: Membership): RequestHandler {
  return (request, response, next) => {
    const caller = membership.checkCall({
      authorization: request.headers.authorization,
      method: request.method,
      path: request.originalUrl,
    });
    if (caller === undefined) {
      response.set("WWW-Authenticate", "Deposito-Peer");
      // Whatever a stranger still sends is not read.
      response.set("Connection", "close");
      sendProblem(response, "unauthenticated", "only members of the group are answered on this port");
      return;
    }
    if (!membership.mayShareGroup(caller.clusterId)) throw notAMember("this node belongs to another group");
    response.set(answerProofHeader, membership.signAnswer(caller.nonce));
    response.locals[callerKey] = caller;
    next();
  };
}

/** Lets only members through, in the life this node knows of them, and only once this node can serve them. */
export function requireMember(
  membership: Membership,
  options: Pick<PeerApiOptions, "services" | "notServing">,
): RequestHandler {
  return function memberOnly(_request, response, next) {
    const reason = membership.whyNotMember(response.locals[callerKey] as Caller);
    if (reason !== undefined) throw notAMember(reason);
    const services = options.services();
    if (services === undefined) throw options.notServing();
    response.locals[servicesKey] = services;
    next();
  };
}

/** Which member calls; only behind `requireMember`. */
export function callerOf(response: Response): NodeId {
  return (response.locals[callerKey] as Caller).nodeId;
}

/** What a member's call may use; only behind `requireMember`. */
export function servicesOf(response: Response): PeerServices {
  return response.locals[servicesKey] as PeerServices;
}

function notAMember(reason: string): DepositoError {
  return new DepositoError("not-a-member", reason);
}

const callerKey = "caller";
const servicesKey = "services";
