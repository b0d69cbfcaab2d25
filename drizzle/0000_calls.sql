CREATE TABLE `api_keys` (
	`id` text PRIMARY KEY NOT NULL,
	`organization_id` text NOT NULL,
	`name` text NOT NULL,
	`hash` text NOT NULL,
	`scopes` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	`revoked_at` integer,
	`last_used_at` integer,
	FOREIGN KEY (`organization_id`) REFERENCES `organizations`(`id`) ON UPDATE no action ON DELETE no action,
	CONSTRAINT "api_keys_hash_is_sha256" CHECK(length("api_keys"."hash") = 64),
	CONSTRAINT "api_keys_scopes_are_a_list" CHECK(json_type("api_keys"."scopes") = 'array')
) STRICT;
--> statement-breakpoint
CREATE UNIQUE INDEX `api_keys_hash_unique` ON `api_keys` (`hash`);--> statement-breakpoint
CREATE TABLE `audit_log` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`at` integer NOT NULL,
	`organization_id` text NOT NULL,
	`action` text NOT NULL,
	`actor` text NOT NULL,
	`actor_id` text,
	`subject_id` text NOT NULL,
	`from_status` text,
	`to_status` text,
	`reason` text,
	FOREIGN KEY (`organization_id`) REFERENCES `organizations`(`id`) ON UPDATE no action ON DELETE no action,
	CONSTRAINT "audit_log_actor" CHECK("audit_log"."actor" IN ('api_key', 'operator', 'livekit', 'reconciler'))
) STRICT;
--> statement-breakpoint
CREATE INDEX `audit_log_by_subject` ON `audit_log` (`subject_id`,`id`);--> statement-breakpoint
CREATE TABLE `calls` (
	`id` text PRIMARY KEY NOT NULL,
	`organization_id` text NOT NULL,
	`status` text NOT NULL,
	`direction` text NOT NULL,
	`phone_number` text,
	`agent_id` text,
	`agent_name` text,
	`contact_name` text,
	`contact_phone` text,
	`contact_email` text,
	`room_name` text NOT NULL,
	`room_id` text,
	`job_id` text,
	`sip_participant_id` text,
	`metadata` text NOT NULL,
	`failure_reason` text,
	`cancelled_by` text,
	`cancel_reason` text,
	`scheduled_at` integer,
	`scheduled_order` integer GENERATED ALWAYS AS (coalesce(scheduled_at, 0)) VIRTUAL NOT NULL,
	`started_at` integer,
	`answered_at` integer,
	`ended_at` integer,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL,
	FOREIGN KEY (`organization_id`) REFERENCES `organizations`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`cancelled_by`) REFERENCES `api_keys`(`id`) ON UPDATE no action ON DELETE no action,
	CONSTRAINT "calls_id_length" CHECK(length("calls"."id") BETWEEN 1 AND 128),
	CONSTRAINT "calls_status" CHECK("calls"."status" IN ('initiated', 'connecting', 'ringing', 'active', 'completed', 'failed', 'cancelled', 'no_answer', 'busy')),
	CONSTRAINT "calls_direction" CHECK("calls"."direction" IN ('inbound', 'outbound')),
	CONSTRAINT "calls_room_name_bytes" CHECK(octet_length("calls"."room_name") BETWEEN 1 AND 256),
	CONSTRAINT "calls_metadata_is_an_object" CHECK(json_type("calls"."metadata") = 'object'),
	CONSTRAINT "calls_ended_at_is_set_exactly_when_ended" CHECK(("calls"."ended_at" IS NOT NULL) = ("calls"."status" IN ('completed', 'failed', 'cancelled', 'no_answer', 'busy'))),
	CONSTRAINT "calls_end_is_not_before_start" CHECK("calls"."ended_at" IS NULL OR "calls"."ended_at" >= "calls"."created_at"),
	CONSTRAINT "calls_only_a_cancelled_call_has_a_canceller" CHECK("calls"."status" = 'cancelled' OR ("calls"."cancelled_by" IS NULL AND "calls"."cancel_reason" IS NULL))
) STRICT;
--> statement-breakpoint
CREATE UNIQUE INDEX `calls_live_room_name` ON `calls` (`room_name`) WHERE "calls"."status" IN ('initiated', 'connecting', 'ringing', 'active');--> statement-breakpoint
CREATE INDEX `calls_by_created` ON `calls` (`organization_id`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `calls_by_status` ON `calls` (`organization_id`,`status`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `calls_by_agent` ON `calls` (`organization_id`,`agent_id`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `calls_by_phone` ON `calls` (`organization_id`,`phone_number`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `calls_by_direction` ON `calls` (`organization_id`,`direction`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `calls_by_scheduled` ON `calls` (`organization_id`,`scheduled_order`,`id`);--> statement-breakpoint
CREATE TABLE `idempotency_keys` (
	`organization_id` text NOT NULL,
	`key` text NOT NULL,
	`fingerprint` text NOT NULL,
	`refused_status` text,
	`created_at` integer NOT NULL,
	PRIMARY KEY(`organization_id`, `key`),
	FOREIGN KEY (`organization_id`) REFERENCES `organizations`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE INDEX `idempotency_keys_by_created` ON `idempotency_keys` (`created_at`);--> statement-breakpoint
CREATE TABLE `organizations` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`created_at` integer NOT NULL
) STRICT;
--> statement-breakpoint
CREATE UNIQUE INDEX `organizations_name_unique` ON `organizations` (`name`);--> statement-breakpoint
CREATE TABLE `room_deletions` (
	`call_id` text PRIMARY KEY NOT NULL,
	`room_name` text NOT NULL,
	`state` text NOT NULL,
	`attempt` integer NOT NULL,
	`scheduled_at` integer NOT NULL,
	`attempted_at` integer,
	`finalized_at` integer,
	`last_error` text,
	`created_at` integer NOT NULL,
	FOREIGN KEY (`call_id`) REFERENCES `calls`(`id`) ON UPDATE no action ON DELETE no action,
	CONSTRAINT "room_deletions_state" CHECK("room_deletions"."state" IN ('available', 'running', 'retryable', 'completed', 'discarded')),
	CONSTRAINT "room_deletions_attempt" CHECK("room_deletions"."attempt" >= 0),
	CONSTRAINT "room_deletions_running_is_an_attempt" CHECK("room_deletions"."state" IN ('available', 'discarded') OR ("room_deletions"."attempt" >= 1 AND "room_deletions"."attempted_at" IS NOT NULL)),
	CONSTRAINT "room_deletions_finalized_at_is_set_exactly_when_final" CHECK(("room_deletions"."finalized_at" IS NOT NULL) = ("room_deletions"."state" NOT IN ('available', 'running', 'retryable')))
) STRICT;
--> statement-breakpoint
CREATE INDEX `room_deletions_due` ON `room_deletions` (`scheduled_at`) WHERE "room_deletions"."state" IN ('available', 'running', 'retryable');--> statement-breakpoint
CREATE UNIQUE INDEX `room_deletions_incomplete_room_name` ON `room_deletions` (`room_name`) WHERE "room_deletions"."state" <> 'completed';