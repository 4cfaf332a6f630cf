/**
 * Interfaces that an application may implement. They are compatible with mitthooks' interfaces of
 * the same names.
 *
 * @module
 */

/** Provides the public keys of webhook signatures, for example {@linkcode MittwaldPublicKeys}. */
export interface PublicKeyProvider {
  /**
   * Gets a key.
   *
   * @param serial The serial that a delivery names. Anybody can send any serial.
   * @returns The 32 bytes of an Ed25519 key (RFC 8032, section 5.1.5), in base64.
   */
  getPublicKey: (serial: string) => Promise<string> | string;
}

/** Logs lines about deliveries; for example `console`. */
export interface Logger {
  /** Logs a stored delivery. */
  info: (message: string) => void;
  /** Logs a refused delivery that mittwald did not sign. */
  debug: (message: string) => void;
  /** Logs a failed delivery: a response of 500 or above. */
  error: (message: string) => void;
  /** Logs a dry run, or a refused delivery of mittwald. Default: `info`. */
  warn?: (message: string) => void;
}
