/**
 * What an application may bring of its own. mitthooks' interfaces of the same names fit, and these fit there.
 *
 * @module
 */

/** Finds the public keys that webhooks are signed with. {@linkcode MittwaldPublicKeys} is one. */
export interface PublicKeyProvider {
  /**
   * Finds a key.
   *
   * @param serial The serial that a delivery names. Anybody can send any.
   * @returns The 32 bytes of an Ed25519 key (RFC 8032, section 5.1.5), in base64.
   */
  getPublicKey: (serial: string) => Promise<string> | string;
}

/** Takes lines about deliveries; `console` is one. */
export interface Logger {
  /** A delivery was stored. */
  info: (message: string) => void;
  /** Something that mittwald did not sign was refused. */
  debug: (message: string) => void;
  /** A delivery failed here: a response of 500 or above. */
  error: (message: string) => void;
  /** A dry run, or a delivery that mittwald signed and that was refused. Where it is missing, `info` takes the line. */
  warn?: (message: string) => void;
}
