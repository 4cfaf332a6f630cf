CREATE TYPE "public"."context" AS ENUM('customer', 'project');--> statement-breakpoint
CREATE TABLE "extension_instance" (
	"id" varchar(36) PRIMARY KEY NOT NULL,
	"contextId" varchar(36) NOT NULL,
	"context" "context" DEFAULT 'project' NOT NULL,
	"active" boolean NOT NULL,
	"variant_key" text,
	"consented_scopes" text[] NOT NULL,
	"secret" text,
	"createdAt" timestamp DEFAULT now() NOT NULL,
	"updatedAt" timestamp DEFAULT now() NOT NULL,
	"note" text
);
--> statement-breakpoint
CREATE TABLE "extension_instance_last_event" (
	"instance_id" varchar(36) PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"request_ids" text[] DEFAULT '{}' NOT NULL,
	"called_at" timestamp with time zone
);
