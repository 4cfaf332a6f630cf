import { createFileRoute } from "@tanstack/react-router";
import { createServerFn } from "@tanstack/react-start";
import { withSession } from "../session.ts";

/** The page's data, which goes to the browser; the session's instance contains no secret. */
const getInstance = createServerFn()
  .middleware([withSession])
  .handler(async ({ context: { session, asUser, asInstance } }) => {
    const { userId, instance } = session;
    const question = { extensionInstanceId: instance.id };
    const [user, itself] = await Promise.all([
      asUser.marketplace.extensionGetExtensionInstance(question),
      asInstance.marketplace.extensionGetExtensionInstance(question),
    ]);
    return { userId, instance, answers: { user: user.status, itself: itself.status } };
  });

export const Route = createFileRoute("/")({
  // Only a browser inside mStudio can request the token.
  ssr: false,
  loader: () => getInstance(),
  component: InstancePage,
  errorComponent: () => <p>This page belongs into mStudio</p>,
});

function InstancePage() {
  const { userId, instance, answers } = Route.useLoaderData();
  return (
    <>
      <h1>Instance of a {instance.context}</h1>
      <p>
        {instance.consentedScopes.join(", ") || "No scopes"}; seen by {userId}. mittwald answered
        {" "}
        {answers.user} to the user and {answers.itself} to the instance.
      </p>
    </>
  );
}
