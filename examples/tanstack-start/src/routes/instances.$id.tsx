import { createFileRoute, notFound } from "@tanstack/react-router";
import { createServerFn } from "@tanstack/react-start";
import { askMittwald, storage } from "../extension.server.ts";

/** What the page may know. Your application knows who may see it: here, everybody. */
const getInstance = createServerFn()
  .validator((id: string) => id)
  .handler(async ({ data: id }) => {
    const instance = await storage.getExtension(id);
    if (!instance) throw notFound();
    const { status } = await askMittwald(id);
    // Field by field: all that is returned goes to the browser, and the row has the secret in it.
    return { context: instance.context, active: instance.active, mittwaldAnswered: status };
  });

export const Route = createFileRoute("/instances/$id")({
  loader: ({ params }) => getInstance({ data: params.id }),
  component: InstancePage,
  notFoundComponent: () => <p>No such instance</p>,
});

function InstancePage() {
  const { context, active, mittwaldAnswered } = Route.useLoaderData();
  return (
    <>
      <h1>Instance of a {context}</h1>
      <p>
        {active ? "Active" : "Inactive"}; mittwald answered {mittwaldAnswered}.
      </p>
    </>
  );
}
