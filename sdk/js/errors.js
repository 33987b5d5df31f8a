/**
 * What can go wrong: a `HostError` is the host refusing something, a `PluginError` is the plugin giving up.
 *
 * Throw a `PluginError` from any method of a plugin; a `HostError` that is not caught goes up as what the plugin could not do without.
 * Anything else that is thrown is a fault of the plugin: its message and place reach the report, and the document ends.
 */

import { diagnostic } from "./data.js";

class Named extends Error {
  get name() {
    return this.constructor.name;
  }
}

/** The host does not give what was asked for. */
export class HostError extends Named {}

/** The capability is not granted, or this run has no such thing. Try a way that does without. */
export class Denied extends HostError {}

/** A limit was met. The session ends when the plugin returns. */
export class QuotaReached extends HostError {
  constructor(what, limit, used) {
    super(`limit ${what} reached: ${used} of ${limit}`);
    Object.assign(this, { what, limit, used });
  }
}

/** The user asked to stop. Return at once. */
export class Cancelled extends HostError {
  constructor() {
    super("cancelled");
  }
}

/** An argument breaks the contract. */
export class Invalid extends HostError {}

/** The host tried and failed: a damaged file, a full disk. */
export class HostFailed extends HostError {}

/** The plugin gives up. Throw one of the classes below. */
export class PluginError extends Named {}

/** The input is damaged, or not what it claims to be. */
export class InvalidInput extends PluginError {}

/** The input is sound, but asks for something that this plugin does not do. */
export class Unsupported extends PluginError {}

/** Settings are wrong; each argument is a sentence that names one. */
export class ConfigError extends PluginError {
  constructor(...complaints) {
    const list = complaints.map((c) => (typeof c === "string" ? diagnostic("error", "config", c) : c));
    super(list.map((d) => d.message).join("; "));
    this.diagnostics = list;
  }
}

/** Anything else. `code` is stable, kebab-case and for programs; the message says what, which, why, what to try. */
export class Failed extends PluginError {
  constructor(code, message, { page = null, area = null } = {}) {
    super(message);
    this.diagnostic = diagnostic("error", code, message, { page, area });
  }
}

/** The document needs a password and none was given. */
export class Encrypted extends Failed {
  constructor(message = "the document is encrypted; give its password") {
    super("encrypted", message);
  }
}

/** The given password does not open the document. */
export class WrongPassword extends Failed {
  constructor(message = "the password does not open the document") {
    super("wrong-password", message);
  }
}

/** The error for the contract's `host-error`; nothing for anything else. */
export function lift(value) {
  switch (value?.tag) {
    case "denied":
      return new Denied(value.val);
    case "quota":
      return new QuotaReached(value.val.what, value.val.limit, value.val.used);
    case "cancelled":
      return new Cancelled();
    case "invalid":
      return new Invalid(value.val);
    case "failed":
      return new HostFailed(value.val);
    default:
      return undefined;
  }
}

/** The contract's `host-error` for an error. */
export function lowerHost(error) {
  if (error instanceof Denied) return { tag: "denied", val: error.message };
  if (error instanceof QuotaReached) {
    return { tag: "quota", val: { what: error.what, limit: error.limit, used: error.used } };
  }
  if (error instanceof Cancelled) return { tag: "cancelled" };
  if (error instanceof Invalid) return { tag: "invalid", val: error.message };
  return { tag: "failed", val: error.message };
}
