/** How the tables are related. By themselves, because Drizzle 1.0 describes it in another way. */

import { relations } from "drizzle-orm";
import { notes, people } from "./tables.ts";

export const peopleRelations = relations(people, ({ many }) => ({ notes: many(notes) }));
export const notesRelations = relations(notes, ({ one }) => ({
  owner: one(people, { fields: [notes.ownerId], references: [people.id] }),
}));

export const schema = { people, notes, peopleRelations, notesRelations };
