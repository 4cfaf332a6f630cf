/**
 * # Access tokens
 *
 * Access tokens of mittwald's API for stored extension instances.
 *
 * @module
 */

export { InstanceTokenError, UnknownExtensionInstanceError } from "../errors.ts";
