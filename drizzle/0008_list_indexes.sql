CREATE TABLE `scheduled_days` (
	`organization_id` text NOT NULL,
	`day` integer NOT NULL,
	`first_created_at` integer NOT NULL,
	`last_created_at` integer NOT NULL,
	PRIMARY KEY(`organization_id`, `day`),
	FOREIGN KEY (`organization_id`) REFERENCES `organizations`(`id`) ON UPDATE no action ON DELETE no action
) STRICT, WITHOUT ROWID;
--> statement-breakpoint
DROP INDEX `calls_by_scheduled`;--> statement-breakpoint
DROP INDEX `calls_by_status`;--> statement-breakpoint
DROP INDEX `calls_by_agent`;--> statement-breakpoint
DROP INDEX `calls_by_direction`;--> statement-breakpoint
ALTER TABLE `calls` ADD `is_scheduled` integer GENERATED ALWAYS AS (scheduled_at IS NOT NULL) VIRTUAL;--> statement-breakpoint
CREATE INDEX `ended_calls_by_agent` ON `calls` (`organization_id`,`agent_id`,`status`,`direction`,`is_scheduled`,`created_at`,`id`) WHERE "calls"."ended_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX `scheduled_calls` ON `calls` (`organization_id`,`direction`,`scheduled_at`,`created_at`,`id`) WHERE "calls"."scheduled_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX `live_scheduled_calls` ON `calls` (`organization_id`,`direction`,`scheduled_at`,`created_at`,`id`,`status`,`agent_id`) WHERE "calls"."scheduled_at" IS NOT NULL AND "calls"."ended_at" IS NULL;--> statement-breakpoint
CREATE INDEX `ended_scheduled_calls` ON `calls` (`organization_id`,`status`,`direction`,`scheduled_at`,`created_at`,`id`) WHERE "calls"."scheduled_at" IS NOT NULL AND "calls"."ended_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX `ended_scheduled_calls_by_agent` ON `calls` (`organization_id`,`agent_id`,`status`,`direction`,`scheduled_at`,`created_at`,`id`) WHERE "calls"."scheduled_at" IS NOT NULL AND "calls"."ended_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX `calls_by_status` ON `calls` (`organization_id`,`status`,`direction`,`is_scheduled`,`created_at`,`id`,`agent_id`);--> statement-breakpoint
CREATE INDEX `calls_by_agent` ON `calls` (`organization_id`,`agent_id`,`direction`,`is_scheduled`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `calls_by_direction` ON `calls` (`organization_id`,`direction`,`is_scheduled`,`created_at`,`id`);--> statement-breakpoint
ALTER TABLE `calls` DROP COLUMN `scheduled_order`;--> statement-breakpoint
-- SQLite rounds a division towards 0, and a time before 1970 belongs to the day before.
INSERT INTO `scheduled_days` (`organization_id`, `day`, `first_created_at`, `last_created_at`)
SELECT `organization_id`, `scheduled_at` / 86400000 - (`scheduled_at` % 86400000 < 0) AS `day`, min(`created_at`), max(`created_at`)
FROM `calls` INDEXED BY `scheduled_calls` WHERE `scheduled_at` IS NOT NULL GROUP BY `organization_id`, `day`;--> statement-breakpoint
CREATE TRIGGER `record_scheduled_day_of_new_call` AFTER INSERT ON `calls` WHEN NEW.`scheduled_at` IS NOT NULL
BEGIN
	INSERT INTO `scheduled_days` (`organization_id`, `day`, `first_created_at`, `last_created_at`)
	VALUES (NEW.`organization_id`, NEW.`scheduled_at` / 86400000 - (NEW.`scheduled_at` % 86400000 < 0), NEW.`created_at`, NEW.`created_at`)
	ON CONFLICT DO UPDATE SET
		`first_created_at` = min(`first_created_at`, excluded.`first_created_at`),
		`last_created_at` = max(`last_created_at`, excluded.`last_created_at`);
END;--> statement-breakpoint
CREATE TRIGGER `record_scheduled_day_of_changed_call` AFTER UPDATE OF `organization_id`, `scheduled_at`, `created_at` ON `calls`
WHEN NEW.`scheduled_at` IS NOT NULL AND (NEW.`scheduled_at`, NEW.`created_at`, NEW.`organization_id`) IS NOT (OLD.`scheduled_at`, OLD.`created_at`, OLD.`organization_id`)
BEGIN
	INSERT INTO `scheduled_days` (`organization_id`, `day`, `first_created_at`, `last_created_at`)
	VALUES (NEW.`organization_id`, NEW.`scheduled_at` / 86400000 - (NEW.`scheduled_at` % 86400000 < 0), NEW.`created_at`, NEW.`created_at`)
	ON CONFLICT DO UPDATE SET
		`first_created_at` = min(`first_created_at`, excluded.`first_created_at`),
		`last_created_at` = max(`last_created_at`, excluded.`last_created_at`);
END;
