-- The emergency stop: cancellations, their calls, deletions and events, and results of requests with an Idempotency-Key.
CREATE TABLE `cancellations` (
	`id` text PRIMARY KEY NOT NULL,
	`organization_id` text NOT NULL,
	`state` text NOT NULL,
	`reason` text NOT NULL,
	`created_by` text NOT NULL,
	`created_at` integer NOT NULL,
	`completed_at` integer,
	`selector` text NOT NULL,
	`hold_state` text,
	`hold_lifted_at` integer,
	`hold_lifted_by` text,
	`phase` integer DEFAULT 0 NOT NULL,
	`position` integer DEFAULT 0 NOT NULL,
	`already_ended` integer DEFAULT 0 NOT NULL,
	`not_found` integer DEFAULT 0 NOT NULL,
	`reported_counts` text NOT NULL,
	`reported_at` integer NOT NULL,
	FOREIGN KEY (`organization_id`) REFERENCES `organizations`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`created_by`) REFERENCES `api_keys`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`hold_lifted_by`) REFERENCES `api_keys`(`id`) ON UPDATE no action ON DELETE no action,
	CONSTRAINT "cancellations_state" CHECK(("cancellations"."state" = 'running' OR "cancellations"."state" = 'completed')),
	CONSTRAINT "cancellations_completed_at_is_set_exactly_when_completed" CHECK(("cancellations"."completed_at" IS NOT NULL) = ("cancellations"."state" = 'completed')),
	CONSTRAINT "cancellations_hold_state" CHECK("cancellations"."hold_state" IS NULL OR ("cancellations"."hold_state" = 'active' OR "cancellations"."hold_state" = 'lifted')),
	CONSTRAINT "cancellations_hold_is_lifted_at_a_time" CHECK(("cancellations"."hold_lifted_at" IS NOT NULL) = ("cancellations"."hold_state" IS NOT NULL AND "cancellations"."hold_state" = 'lifted')),
	CONSTRAINT "cancellations_selector_is_an_object" CHECK(json_type("cancellations"."selector") = 'object')
) STRICT;
--> statement-breakpoint
CREATE INDEX `cancellations_by_created` ON `cancellations` (`organization_id`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `cancellations_running` ON `cancellations` (`created_at`) WHERE "cancellations"."state" = 'running';--> statement-breakpoint
CREATE INDEX `cancellations_with_active_hold` ON `cancellations` (`organization_id`) WHERE "cancellations"."hold_state" = 'active';--> statement-breakpoint
ALTER TABLE `audit_log` ADD `cancellation_id` text;--> statement-breakpoint
ALTER TABLE `audit_log` ADD `details` text;--> statement-breakpoint
ALTER TABLE `audit_log` ADD CONSTRAINT "audit_log_details_are_an_object" CHECK("audit_log"."details" IS NULL OR json_type("audit_log"."details") = 'object');--> statement-breakpoint
CREATE INDEX `audit_log_by_cancellation` ON `audit_log` (`cancellation_id`,`id`) WHERE "audit_log"."cancellation_id" IS NOT NULL;--> statement-breakpoint
ALTER TABLE `calls` ADD `cancellation_id` text REFERENCES cancellations(id);--> statement-breakpoint
CREATE INDEX `calls_by_cancellation` ON `calls` (`cancellation_id`,`created_at`,`id`) WHERE "calls"."cancellation_id" IS NOT NULL;--> statement-breakpoint
ALTER TABLE `idempotency_keys` ADD `outcome` text DEFAULT '{}' NOT NULL;--> statement-breakpoint
UPDATE `idempotency_keys` SET `outcome` = CASE WHEN `refused_status` IS NULL THEN '{"kind":"cancelled","deletion":null}' ELSE json_object('kind', 'not_live', 'status', `refused_status`) END;--> statement-breakpoint
ALTER TABLE `idempotency_keys` DROP COLUMN `refused_status`;--> statement-breakpoint
-- A key in quotes is now the key without them. When both were used, the one without them stays.
UPDATE OR IGNORE `idempotency_keys` SET `key` = substr(`key`, 2, length(`key`) - 2) WHERE `key` GLOB '"?*"' AND instr(`key`, '\') = 0;--> statement-breakpoint
ALTER TABLE `room_deletions` ADD `cancellation_id` text;--> statement-breakpoint
CREATE INDEX `room_deletions_due_of_cancellations` ON `room_deletions` (`scheduled_at`) WHERE "room_deletions"."finalized_at" IS NULL AND "room_deletions"."cancellation_id" IS NOT NULL;--> statement-breakpoint
CREATE INDEX `room_deletions_due_of_others` ON `room_deletions` (`scheduled_at`) WHERE "room_deletions"."finalized_at" IS NULL AND "room_deletions"."cancellation_id" IS NULL;--> statement-breakpoint
CREATE INDEX `room_deletions_by_cancellation` ON `room_deletions` (`cancellation_id`,`state`) WHERE "room_deletions"."cancellation_id" IS NOT NULL;--> statement-breakpoint
-- A key that may do everything may also stop everything.
UPDATE `api_keys` SET `scopes` = json_insert(`scopes`, '$[#]', 'calls:stop')
WHERE (SELECT count(DISTINCT value) FROM json_each(`scopes`) WHERE value IN ('calls:read', 'calls:write', 'calls:cancel')) = 3;
