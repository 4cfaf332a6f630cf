/** A mistake in an application's configuration that shows only while it runs. */

/** A `TypeError` whose message quotes no value, so that whoever logs it can repeat it. */
export class ConfigurationError extends TypeError {
  /** As that of the class that callers know. */
  override readonly name = "TypeError";
}
