/** Mistakes in an application's configuration that show only at run time. */

/** A `TypeError` whose message quotes no value and is therefore safe to log. */
export class ConfigurationError extends TypeError {
  /** The name that callers expect. */
  override readonly name = "TypeError";
}
